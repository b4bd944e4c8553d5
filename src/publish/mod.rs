//! Publishing: labels and states, to wherever they are wanted.
//!
//! A [`Publisher`] is a task with an inbox of [`INBOX`] messages. A pipeline sends each message to
//! every publisher through its [`Outlet`].

mod factory;
pub mod message;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod outlet;
pub mod payload;
pub mod publisher;
pub mod stdout;

pub use factory::open;
pub use message::Message;
pub use outlet::{INBOX, Outlet, WhenFull};
pub use payload::Label;
pub use publisher::{PublishError, Publisher};
