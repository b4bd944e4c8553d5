//! A linear layer, with or without a low-rank adapter.

use tch::Tensor;

use super::Mode;

/// `y = x Wᵀ + b`, plus `alpha / rank * dropout(x) Aᵀ Bᵀ` with an adapter (equation 3).
pub struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) adapter: Option<Adapter>,
}

/// Low-rank factors of one linear layer.
pub struct Adapter {
    /// `A`, `[rank, in]`.
    pub a: Tensor,
    /// `B`, `[out, rank]`; zero before training, so that the layer starts as pretrained.
    pub b: Tensor,
    /// `alpha / rank`.
    pub scale: f64,
    /// Dropout on the input of `A`.
    pub p_dropout: f64,
}

impl Linear {
    /// Shapes: `x` `[.., in]` gives `[.., out]`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let y = x.linear(&self.weight, Some(&self.bias));
        match &self.adapter {
            Some(adapter) => y + adapter.forward(x, mode),
            None => y,
        }
    }
}

impl Adapter {
    /// What the adapter adds to the layer's output.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let x = x.dropout(self.p_dropout, mode == Mode::Train);
        x.linear(&self.a, None::<&Tensor>).linear(&self.b, None::<&Tensor>) * self.scale
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn layer(b: Tensor) -> Linear {
        let options = (Kind::Float, Device::Cpu);
        let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).view([1, 3]);
        Linear {
            weight: Tensor::ones([2, 3], options),
            bias: Tensor::zeros([2], options),
            adapter: Some(Adapter { a, b, scale: 0.5, p_dropout: 0.1 }),
        }
    }

    #[test]
    fn adapter_of_zeros_changes_nothing() {
        let x = Tensor::from_slice(&[1.0f32, -2.0, 4.0]).view([1, 3]);
        let adapted = layer(Tensor::zeros([2, 1], (Kind::Float, Device::Cpu)));
        let plain = x.linear(&adapted.weight, Some(&adapted.bias));
        assert_eq!(adapted.forward(&x, Mode::Train), plain);
        assert_eq!(adapted.forward(&x, Mode::Infer), plain);
    }

    #[test]
    fn adapter_adds_its_scaled_product() {
        let x = Tensor::from_slice(&[1.0f32, -2.0, 4.0]).view([1, 3]);
        let y = layer(Tensor::from_slice(&[1.0f32, -1.0]).view([2, 1])).forward(&x, Mode::Infer);
        // W x = 3 for both outputs, A x = 1 - 4 + 12 = 9.
        assert_eq!(y, Tensor::from_slice(&[7.5f32, -1.5]).view([1, 2]));
    }
}
