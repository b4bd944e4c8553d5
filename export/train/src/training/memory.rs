//! Memory that runs out, told apart from other panics.
//!
//! tch turns what libtorch throws into panics, so that is how running out of memory arrives.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// What libtorch says when a device or the machine has no memory left.
const SIGNS: [&str; 3] = ["out of memory", "can't allocate memory", "not enough memory"];

/// What libtorch said when memory ran out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfMemory(pub String);

/// What `work` returns. Other panics than for want of memory go on.
///
/// What `work` borrowed may be in any state after an error: the caller gives it up.
pub fn guard<T>(work: impl FnOnce() -> T) -> Result<T, OutOfMemory> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match message(panic.as_ref()) {
        Some(said) => OutOfMemory(said),
        None => panic::resume_unwind(panic),
    })
}

/// The line that says so, if a panic is about memory.
fn message(panic: &(dyn Any + Send)) -> Option<String> {
    let said =
        panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())?;
    let low = said.to_lowercase();
    let at = SIGNS.iter().find_map(|sign| low.find(sign))?;
    // The rest of it is where in libtorch; panics format what they are about with escapes.
    let line = |text: &str| {
        text.split("\\n").next().unwrap_or_default().lines().next().unwrap_or_default().to_owned()
    };
    Some(line(said.get(at..).unwrap_or(said)))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn libtorch_running_out_of_memory_is_an_error() {
        // 4 exabytes.
        let OutOfMemory(said) =
            guard(|| Tensor::zeros([1 << 60], (Kind::Float, Device::Cpu))).map(drop).unwrap_err();
        assert!(SIGNS.iter().any(|sign| said.starts_with(sign)), "{said}");
        assert!(said.len() < 200, "{said}");
        assert_eq!(
            message(&"CUDA out of memory. Tried to allocate 2 GiB.\nException raised from"),
            Some("out of memory. Tried to allocate 2 GiB.".to_owned())
        );
    }

    #[test]
    fn other_panics_stay_panics() {
        assert_eq!(guard(|| 1), Ok(1));
        let panic = panic::catch_unwind(|| guard(|| panic!("a defect"))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a defect"));
    }
}
