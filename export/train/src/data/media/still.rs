//! JPEG and PNG files, told apart by how they begin.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::zune_core::result::DecodingResult;
use zune_png::PngDecoder;

use crate::data::rgb::Rgb;

/// Decodes a file's content. The orientation that a camera noted is not applied, as CLIP's processor does
/// not. Errors: what is wrong, in words.
pub(super) fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes),
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        _ => Err("neither JPEG nor PNG".into()),
    }
}

fn jpeg(bytes: &[u8]) -> Result<Rgb, String> {
    // Strict: half a picture would pass for a whole one.
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let values = decoder.decode().map_err(|error| format!("JPEG: {error:?}"))?;
    let (width, height) = decoder.dimensions().ok_or("JPEG without a size")?;
    Ok(Rgb { width: width as u32, height: height as u32, values })
}

fn png(bytes: &[u8]) -> Result<Rgb, String> {
    let options = DecoderOptions::default().png_set_strip_to_8bit(true).png_set_confirm_crc(true);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
    let values = decoder.decode().map_err(|error| format!("PNG: {error:?}"))?;
    let DecodingResult::U8(values) = values else { return Err("PNG of more than 8 bits a channel".into()) };
    let (width, height) = decoder.dimensions().ok_or("PNG without a size")?;
    let values = match decoder.colorspace().ok_or("PNG without colours")? {
        ColorSpace::RGB => values,
        ColorSpace::RGBA => values.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect(),
        ColorSpace::Luma => values.iter().flat_map(|value| [*value; 3]).collect(),
        ColorSpace::LumaA => values.as_chunks::<2>().0.iter().flat_map(|[value, _]| [*value; 3]).collect(),
        other => return Err(format!("PNG in {other:?}, expected RGB or grey")),
    };
    Ok(Rgb { width: width as u32, height: height as u32, values })
}

/// PNG files for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::io::Write;

    use flate2::write::ZlibEncoder;
    use flate2::{Compression, Crc};

    /// A file of 8 bits a channel; `color` is PNG's number for what a pixel is.
    pub(in super::super) fn png(color: u8, width: usize, palette: &[u8], values: &[u8]) -> Vec<u8> {
        let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(color)];
        let rows: Vec<&[u8]> = values.chunks(width * channels).collect();
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        for row in &rows {
            // Before each row, that it is not filtered.
            packed.write_all(&[0]).unwrap();
            packed.write_all(row).unwrap();
        }
        let size = [(width as u32).to_be_bytes(), (rows.len() as u32).to_be_bytes()].concat();
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut file, b"IHDR", &[&size[..], &[8, color, 0, 0, 0]].concat());
        if !palette.is_empty() {
            chunk(&mut file, b"PLTE", palette);
        }
        chunk(&mut file, b"IDAT", &packed.finish().unwrap());
        chunk(&mut file, b"IEND", &[]);
        file
    }

    fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::testing::png;
    use super::*;

    #[test]
    fn every_kind_of_png_comes_out_in_rgb() {
        const PALETTE: [u8; 6] = [1, 2, 3, 4, 5, 6];
        let cases: [(u8, &[u8], [u8; 6]); 5] = [
            (2, &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            (6, &[1, 2, 3, 9, 4, 5, 6, 9], [1, 2, 3, 4, 5, 6]),
            (0, &[7, 8], [7, 7, 7, 8, 8, 8]),
            (4, &[7, 9, 8, 9], [7, 7, 7, 8, 8, 8]),
            (3, &[1, 0], [4, 5, 6, 1, 2, 3]),
        ];
        for (color, values, expected) in cases {
            let palette = if color == 3 { &PALETTE[..] } else { &[] };
            let found = decode(&png(color, 2, palette, values)).unwrap();
            assert_eq!(found, Rgb { width: 2, height: 1, values: expected.into() }, "colours {color}");
        }
    }

    #[test]
    fn what_is_broken_says_so() {
        let mut whole = png(2, 2, &[], &[1, 2, 3, 4, 5, 6]);
        assert!(decode(&whole[..whole.len() - 20]).unwrap_err().starts_with("PNG: "));
        let middle = whole.len() - 20;
        whole[middle] ^= 1;
        assert!(decode(&whole).unwrap_err().starts_with("PNG: "), "a changed bit is noticed");
        assert!(decode(&[0xff, 0xd8, 0xff]).unwrap_err().starts_with("JPEG: "));
        assert_eq!(decode(b"GIF89a").unwrap_err(), "neither JPEG nor PNG");
        assert_eq!(decode(b"").unwrap_err(), "neither JPEG nor PNG");
    }
}
