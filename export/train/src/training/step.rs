//! The loss of one step of the optimizer, and its gradients.

use tch::Tensor;

use super::inputs::Inputs;
use super::settings::Settings;
use crate::encoder::Mode;
use crate::method::alignment::alignment_loss;
use crate::method::gate::fuse;
use crate::method::modality_dropout::modality_dropout;
use crate::method::model::Model;
use crate::method::task::task_loss;

/// Losses of a step, on the device: reading them waits for it.
pub struct Losses {
    /// The loss of equation 7.
    pub loss: Tensor,
    /// Its alignment part, before the weight.
    pub alignment: Tensor,
}

/// Adds the gradients of the loss over all samples of `batches` to those of the model, a batch at a time:
/// into how many batches the samples are divided changes the memory that it takes, and not the loss.
///
/// All randomness comes from libtorch's generator. `batches` have at least one sample.
pub fn backward(model: &Model, settings: &Settings, batches: &[Inputs]) -> Losses {
    let present =
        Tensor::cat(&batches.iter().map(|inputs| inputs.present.shallow_clone()).collect::<Vec<_>>(), 0);
    let drawn = modality_dropout(&present, &settings.pattern_rates, settings.drawing);
    let mut losses: Option<Losses> = None;
    let mut first = 0;
    for inputs in batches {
        let count = inputs.samples() as i64;
        let share = count as f64 / present.size()[0] as f64;
        let tokens = inputs.encode(model, Mode::Train);
        let task_losses = drawn.iter().map(|(weight, available)| {
            let logits = model.classify(&fuse(&tokens, &available.narrow(0, first, count)));
            let loss = task_loss(model.spec().task, &logits, &inputs.targets, settings.label_smoothing);
            loss * (weight * share)
        });
        let task = task_losses.reduce(|sum, next| sum + next).expect("there is a pattern to train on");
        let alignment = alignment_loss(&tokens, &inputs.present, &present, settings.alignment_target);
        let loss = task + &alignment * settings.alignment_weight;
        loss.backward();
        first += count;
        let (loss, alignment) = (loss.detach(), alignment.detach());
        losses = Some(match losses {
            None => Losses { loss, alignment },
            Some(sum) => Losses { loss: sum.loss + loss, alignment: sum.alignment + alignment },
        });
    }
    losses.expect("a step has a batch")
}
