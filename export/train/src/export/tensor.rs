//! From libtorch's tensors to plain numbers.

use cmpt_bundle::Tensor as Plain;
use tch::{Device, Kind, TchError, Tensor};

/// Shape and row-major f32 values.
pub(super) fn plain(tensor: &Tensor) -> Result<Plain, TchError> {
    let shape = tensor.size().iter().map(|size| *size as usize).collect();
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    Ok(Plain { shape, values: Vec::try_from(flat)? })
}
