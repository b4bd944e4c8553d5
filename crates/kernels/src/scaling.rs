//! Pictures of bytes in another size.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// What a pixel is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One byte.
    Grey,
    /// Three, interleaved.
    Rgb,
}

/// How pixels are weighed. All but the nearest widen when they scale down, so that nothing aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel alone.
    Nearest,
    /// Triangle.
    Bilinear,
    /// Bicubic, a = -0.5: PIL's.
    CatmullRom,
    /// Windowed sinc, three lobes.
    Lanczos3,
}

/// Scales pictures, and keeps its buffers.
#[derive(Debug, Default)]
pub struct Scaler {
    resizer: Resizer,
}

impl Scaler {
    /// One without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `pixels`, which are `from` in size, in the size `to`.
    ///
    /// Shapes: [height, width, channels], row-major.
    /// Panics: the pixels do not fill their size.
    pub fn scale(
        &mut self,
        pixels: &[u8],
        channels: Channels,
        [from, to]: [Size; 2],
        filter: Filter,
    ) -> Vec<u8> {
        match channels {
            Channels::Grey => self.scale_typed::<U8>(pixels, from, to, filter),
            Channels::Rgb => self.scale_typed::<U8x3>(pixels, from, to, filter),
        }
    }

    /// By pixel type, because the resizer's dynamic entry point compiles its kernels for every one that
    /// there is.
    fn scale_typed<P>(&mut self, pixels: &[u8], from: Size, to: Size, filter: Filter) -> Vec<u8>
    where
        P: PixelTrait + InnerPixel<Component = u8>,
    {
        let source = TypedImageRef::<P>::from_buffer(from.width, from.height, pixels)
            .expect("the pixels fill their size");
        let mut scaled = TypedImage::<P>::new(to.width, to.height);
        let options = ResizeOptions::new().resize_alg(filter.algorithm());
        self.resizer.resize_typed(&source, &mut scaled, &options).expect("the whole source is scaled");
        P::components(scaled.pixels()).to_vec()
    }
}

impl Filter {
    const fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::CatmullRom => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}
