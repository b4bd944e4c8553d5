//! AdamW whose state can be saved, so that a run resumes exactly.

use tch::{Tensor, no_grad};

use crate::weights::Tensors;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// AdamW with decoupled weight decay on every parameter.
///
/// Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", algorithm 2.
pub struct AdamW {
    parameters: Vec<Parameter>,
    weight_decay: f64,
    clip_norm: Option<f64>,
}

struct Parameter {
    name: String,
    value: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
}

impl AdamW {
    /// An optimizer of `parameters`, which must require gradients. `clip_norm` bounds the norm of all
    /// gradients together.
    pub fn new(parameters: Tensors, weight_decay: f64, clip_norm: Option<f64>) -> Self {
        let parameters = parameters.into_iter().map(|(name, value)| Parameter {
            name,
            first_moment: value.zeros_like().set_requires_grad(false),
            second_moment: value.zeros_like().set_requires_grad(false),
            value,
        });
        Self { parameters: parameters.collect(), weight_decay, clip_norm }
    }

    /// Moves the parameters along their gradients, then clears those. `step` counts from 0.
    pub fn step(&mut self, step: usize, learning_rate: f64) {
        no_grad(|| {
            let steps = step as f64 + 1.0;
            let scale = self.clip_norm.map(|bound| self.gradient_scale(bound));
            let correction1 = 1.0 - BETA1.powf(steps);
            let correction2 = (1.0 - BETA2.powf(steps)).sqrt();
            for parameter in &mut self.parameters {
                let mut gradient = parameter.value.grad();
                if !gradient.defined() {
                    continue;
                }
                if let Some(scale) = &scale {
                    let _ = gradient.g_mul_(scale);
                }
                let _ = parameter.first_moment.lerp_(&gradient, 1.0 - BETA1);
                let _ = parameter.second_moment.lerp_(&gradient.square(), 1.0 - BETA2);
                let mut divisor = parameter.second_moment.sqrt();
                let _ = divisor.g_div_scalar_(correction2).g_add_scalar_(EPS);
                let _ = parameter.value.g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
                let direction = &parameter.first_moment * (-learning_rate / correction1);
                let _ = parameter.value.addcdiv_(&direction, &divisor);
                let _ = gradient.zero_();
            }
        });
    }

    /// What all gradients are to be multiplied with, as a tensor, so that nothing waits for it.
    fn gradient_scale(&self, bound: f64) -> Tensor {
        let gradients = self.parameters.iter().map(|parameter| parameter.value.grad());
        let norms: Vec<Tensor> = gradients.filter(Tensor::defined).map(|gradient| gradient.norm()).collect();
        (Tensor::stack(&norms, 0).norm() + EPS).reciprocal().g_mul_scalar(bound).clamp_max(1.0)
    }

    /// The moments, as `{parameter}.first_moment` and `{parameter}.second_moment`. They share memory
    /// with the optimizer, so loading into them restores it.
    pub fn state(&self) -> Tensors {
        let moments = self.parameters.iter().flat_map(|parameter| {
            [
                (format!("{}.first_moment", parameter.name), parameter.first_moment.shallow_clone()),
                (format!("{}.second_moment", parameter.name), parameter.second_moment.shallow_clone()),
            ]
        });
        moments.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optimizer(value: &Tensor, weight_decay: f64, clip_norm: Option<f64>) -> AdamW {
        AdamW::new(Tensors::from([("x".to_owned(), value.shallow_clone())]), weight_decay, clip_norm)
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(&tensor.detach()).unwrap()
    }

    #[test]
    fn first_step_is_the_rate_against_the_sign_of_the_gradient() {
        let x = Tensor::from_slice(&[1.0f64, -2.0]).set_requires_grad(true);
        let mut adamw = optimizer(&x, 0.1, None);
        x.square().sum(None).backward();
        adamw.step(0, 0.01);
        // 1 - 0.01 * 0.1 of the value, then 0.01 against the gradient's sign.
        for (found, expected) in values(&x).into_iter().zip([0.999 - 0.01, -1.998 + 0.01]) {
            assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        }
        assert_eq!(values(&x.grad()), [0.0, 0.0]);
    }

    #[test]
    fn steps_follow_libtorch() {
        let start = [0.3f64, -0.7, 2.0];
        let ours = Tensor::from_slice(&start).set_requires_grad(true);
        let mut adamw = optimizer(&ours, 0.02, None);
        let store = tch::nn::VarStore::new(tch::Device::Cpu);
        let mut theirs = store.root().var_copy("x", &Tensor::from_slice(&start));
        let mut reference = tch::nn::OptimizerConfig::build(
            tch::nn::AdamW { wd: 0.02, ..tch::nn::AdamW::default() },
            &store,
            0.05,
        )
        .unwrap();
        for step in 0..20 {
            let loss = |x: &Tensor| (x.square() * x.sin()).sum(None);
            loss(&ours).backward();
            adamw.step(step, 0.05);
            reference.backward_step(&loss(&theirs));
        }
        let difference = (&ours - &theirs).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "{difference}");
        let _ = theirs.requires_grad_(false);
    }

    #[test]
    fn clipping_bounds_the_norm_of_all_gradients() {
        let x = Tensor::from_slice(&[3.0f64, 4.0]).set_requires_grad(true);
        let adamw = optimizer(&x, 0.0, Some(1.0));
        (&x * &x.detach()).sum(None).backward();
        assert!((adamw.gradient_scale(1.0).double_value(&[]) - 0.2).abs() < 1e-6);
        assert_eq!(adamw.gradient_scale(50.0).double_value(&[]), 1.0);
    }
}
