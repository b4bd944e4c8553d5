//! ONNX graphs, built and written from Rust.
//!
//! [`Graph`] has one method per operator. It infers shapes as it goes, so a mistake is an error where it
//! is made, and every value of the file has its shape. The batch dimension is dynamic.
//!
//! ```
//! use cmpt_onnx::{Dim, Graph};
//!
//! let mut graph = Graph::new("double");
//! let x = graph.input("x", [Dim::Batch, Dim::Fixed(3)]);
//! let two = graph.constant("two", [1], &[2.0])?;
//! let y = graph.mul(x, two)?;
//! graph.output("y", y)?;
//! let file: Vec<u8> = graph.to_bytes();
//! # Ok::<(), cmpt_onnx::GraphError>(())
//! ```
//!
//! **Architecture invariant.** No torch, no runtime, and no knowledge of what a graph computes.

mod graph;
mod model;
mod ops;
// Written by prost-build 0.14 (`disable_comments(["."])`) from what protox 0.10 parsed of the
// `onnx.proto` in PyPI's onnx 1.23.2, then formatted. Committed, so that a build needs none of them.
#[expect(missing_docs, reason = "generated; the ONNX project's onnx.proto documents it")]
pub mod proto;
mod shape;

pub use graph::{Graph, GraphError, Value};
pub use model::{IR_VERSION, OPSET};
pub use shape::{Dim, Shape};
