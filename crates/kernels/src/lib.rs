//! Spectra and picture scaling, behind functions that are not generic.
//!
//! Both come from crates whose code is generated where it is used, a minute of it. Here it is generated
//! once, at native speed whatever the profile, and not again with every change of what uses it. Knows
//! nothing of what the numbers mean.

mod scaling;
mod spectrum;

pub use scaling::{Channels, Filter, Scaler, Size};
pub use spectrum::Spectrum;
