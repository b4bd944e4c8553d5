//! Where a run computes.

use clap::ValueEnum;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device};

/// What the NVIDIA driver brings.
const DRIVER: &str = "libcuda.so.1";
/// The part of libtorch that computes on GPUs. The linker leaves it out, since nothing refers to it by name.
const TORCH_CUDA: &str = "libtorch_cuda.so";

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// On the first GPU where there is one that libtorch can use, else on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On the first GPU, or not at all.
    Cuda,
}

/// Why there is no GPU to compute on.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A library lacks, or one that it needs.
    #[error("use the GPU: load {library}")]
    Library {
        /// The library.
        library: &'static str,
        /// What the loader says.
        source: libloading::Error,
    },
    /// libtorch sees none.
    #[error("use the GPU: the driver and libtorch are there, but no device that they can use")]
    None,
}

impl DeviceChoice {
    /// The device, on which libtorch can compute from now on.
    ///
    /// Errors: `Cuda` was asked for and cannot be had.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => open_cuda(),
            Self::Auto => Ok(open_cuda().unwrap_or(Device::Cpu)),
        }
    }
}

fn open_cuda() -> Result<Device, DeviceError> {
    // In this order: without a driver nobody waits for hundreds of megabytes to load.
    load(DRIVER)?;
    load(TORCH_CUDA)?;
    if Cuda::device_count() > 0 { Ok(Device::Cuda(0)) } else { Err(DeviceError::None) }
}

/// Loads a library for the rest of the process.
#[expect(
    unsafe_code,
    reason = "loading a library runs its initialisers, and there is no other way to load it"
)]
fn load(library: &'static str) -> Result<(), DeviceError> {
    // SAFETY: both are made to be loaded into any process, and are never unloaded.
    let opened = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
    opened.map(std::mem::forget).map_err(|source| DeviceError::Library { library, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_gpu_where_there_is_one_and_else_the_cpu() {
        assert_eq!(DeviceChoice::Cpu.open().unwrap(), Device::Cpu);
        let expected = DeviceChoice::Cuda.open().unwrap_or(Device::Cpu);
        assert_eq!(DeviceChoice::Auto.open().unwrap(), expected);
    }

    #[test]
    fn what_lacks_is_named() {
        let error = load("libno-such-thing.so.1").unwrap_err();
        assert_eq!(error.to_string(), "use the GPU: load libno-such-thing.so.1");
        // What the loader says is one cause further down.
        let chain = format!("{:#}", anyhow::Error::from(error));
        assert!(chain.contains(": dlopen failed: libno-such-thing.so.1: "), "{chain}");
    }
}
