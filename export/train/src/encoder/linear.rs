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
        let Some(adapter) = &self.adapter else { return x.linear(&self.weight, Some(&self.bias)) };
        let rows = x.flatten(0, -2);
        let mut y = rows.linear(&self.weight, Some(&self.bias));
        // In place, since no gradient is computed from the product alone. On rows, since in place of a view
        // would cost a copy of the gradient.
        let _ = y.addmm_(&adapter.narrow(&rows, mode), &adapter.b.tr());
        let (last, leading) = (y.size()[1], x.size());
        y.view(&[&leading[..leading.len() - 1], &[last]].concat()[..])
    }
}

impl Adapter {
    /// `alpha / rank * dropout(x) Aᵀ`, of which `B` makes what the adapter adds. `x` `[rows, in]` gives
    /// `[rows, rank]`.
    fn narrow(&self, x: &Tensor, mode: Mode) -> Tensor {
        let project = |x: &Tensor, scale: f64| x.linear(&self.a, None::<&Tensor>) * scale;
        match mode {
            Mode::Train if self.p_dropout > 0.0 => {
                // What dropout multiplies with is left to the narrow side, where it costs nothing.
                let p_kept = 1.0 - self.p_dropout;
                let kept = x.empty_like().bernoulli_float_(p_kept);
                project(&(x * kept), self.scale / p_kept)
            }
            _ => project(x, self.scale),
        }
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
    fn dropout_keeps_the_mean_of_what_the_adapter_adds() {
        tch::manual_seed(7);
        let adapted = layer(Tensor::from_slice(&[1.0f32, -1.0]).view([2, 1]));
        let x = Tensor::from_slice(&[1.0f32, -2.0, 4.0]).view([1, 3]).expand([20_000, 3], false);
        let y = adapted.forward(&x, Mode::Train);
        let added = y.select(1, 0) - 3.0;
        // 0.5 * (kept parts of 1 - 4 + 12) / 0.9: 4.5 on average, with a deviation of 2.1.
        assert!((added.mean(Kind::Double).double_value(&[]) - 4.5).abs() < 0.1);
        let deviation = (0.25f64 * (1.0 + 16.0 + 144.0) / 9.0).sqrt();
        assert!((added.std(true).double_value(&[]) - deviation).abs() < 0.05);
    }

    #[test]
    fn gradients_are_those_of_the_sum_written_out() {
        tch::manual_seed(7);
        let random =
            |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let (a, b, x) = (random(&[2, 5]), random(&[4, 2]), random(&[3, 6, 5]));
        let (weight, bias) = (random(&[4, 5]).detach(), random(&[4]).detach());
        let adapter = Adapter { a: a.shallow_clone(), b: b.shallow_clone(), scale: 0.5, p_dropout: 0.1 };
        let linear =
            Linear { weight: weight.shallow_clone(), bias: bias.shallow_clone(), adapter: Some(adapter) };
        let found = linear.forward(&x, Mode::Infer);
        let expected = x.matmul(&(weight + b.matmul(&a) * 0.5).tr()) + bias;
        assert!(found.allclose(&expected, 1e-9, 1e-9, false));
        let gradients =
            |y: &Tensor| Tensor::run_backward(&[y.square().sum(Kind::Double)], &[&a, &b, &x], true, false);
        for (found, expected) in gradients(&found).iter().zip(gradients(&expected)) {
            assert!(found.allclose(&expected, 1e-9, 1e-9, false));
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
