//! Front ends: whatever turns samples into model input, once, for training and for the daemon.

mod mel;
mod picture;

pub use mel::{LogMel, MelError, MelSpec};
pub use picture::{PictureError, PictureFrontEnd, PictureSpec, Resized};
