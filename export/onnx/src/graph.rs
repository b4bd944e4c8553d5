//! The graph under construction: values, constants, nodes, named inputs and outputs.

use std::collections::HashSet;

use crate::proto::tensor_proto::DataType;
use crate::shape::{Dim, Shape};

/// Why a graph cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An operator does not accept operands of these shapes.
    #[error("build graph {graph}: {op} of {operands}, expected {expected}")]
    Operands {
        /// Name of the graph.
        graph: String,
        /// The operator.
        op: &'static str,
        /// Shapes of the operands, and attributes that matter.
        operands: String,
        /// What the operator accepts.
        expected: &'static str,
    },
    /// A constant has more or fewer values than its shape.
    #[error("build graph {graph}: constant `{name}` of shape {shape} has {found} values")]
    Constant {
        /// Name of the graph.
        graph: String,
        /// Name of the constant.
        name: String,
        /// Its shape.
        shape: Shape,
        /// How many values were given.
        found: usize,
    },
    /// A name is in use.
    #[error("build graph {graph}: name `{name}` is taken")]
    Name {
        /// Name of the graph.
        graph: String,
        /// The name.
        name: String,
    },
}

/// A value of a graph: an input, a constant or what a node computes. Belongs to the graph that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct ValueInfo {
    pub name: String,
    pub shape: Shape,
    pub element: Element,
}

/// Type of a value's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float,
    Integer,
}

#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub op: &'static str,
    pub inputs: Vec<Value>,
    pub output: Value,
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A graph under construction; see [`crate`]. Inputs, outputs and what operators give are f32.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) constants: Vec<(Value, Constant)>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Value>,
    names: HashSet<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            values: Vec::new(),
            constants: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.values[value.0].shape
    }

    /// Adds an input. Inputs are named before anything else, so the name is free.
    pub fn input(&mut self, name: &str, shape: impl Into<Shape>) -> Value {
        let value = self.value(name.to_owned(), shape.into());
        self.inputs.push(value);
        value
    }

    /// Adds a constant: row-major `values` of shape `sizes`.
    pub fn constant(
        &mut self,
        name: &str,
        sizes: impl AsRef<[usize]>,
        values: &[f32],
    ) -> Result<Value, GraphError> {
        let shape = Shape::fixed(sizes.as_ref());
        if sizes.as_ref().iter().product::<usize>() != values.len() {
            let (graph, name) = (self.name.clone(), name.to_owned());
            return Err(GraphError::Constant { graph, name, shape, found: values.len() });
        }
        self.claim(name)?;
        let value = self.value(name.to_owned(), shape);
        self.constants.push((value, Constant::Floats(values.to_vec())));
        Ok(value)
    }

    /// Makes a value an output under this name.
    pub fn output(&mut self, name: &str, value: Value) -> Result<(), GraphError> {
        self.claim(name)?;
        // Only what a node computes can be renamed, and only once: anything else passes an Identity.
        let computed = self.nodes.iter().any(|node| node.output == value);
        let value = if computed && !self.outputs.contains(&value) {
            value
        } else {
            let shape = self.shape(value).clone();
            self.node("Identity", &[value], shape, [])
        };
        self.values[value.0].name = name.to_owned();
        self.outputs.push(value);
        Ok(())
    }

    /// Integers that an operator takes as an input, such as the axes of a reduction.
    pub(crate) fn integers(&mut self, integers: Vec<i64>) -> Value {
        let value = self.value(format!("/integers_{}", self.values.len()), Shape::fixed(&[integers.len()]));
        self.values[value.0].element = Element::Integer;
        self.constants.push((value, Constant::Integers(integers)));
        value
    }

    /// A number that an operator takes as an input.
    pub(crate) fn scalar(&mut self, number: f32) -> Value {
        let value = self.value(format!("/scalar_{}", self.values.len()), Shape::fixed(&[]));
        self.constants.push((value, Constant::Floats(vec![number])));
        value
    }

    pub(crate) fn node(
        &mut self,
        op: &'static str,
        inputs: &[Value],
        shape: Shape,
        attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
    ) -> Value {
        let output = self.value(format!("/{op}_{}", self.values.len()), shape);
        let attributes = attributes.into_iter().collect();
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output, attributes });
        output
    }

    /// `x` as integers, for operators that take an index.
    pub(crate) fn cast_to_integers(&mut self, x: Value) -> Value {
        let shape = self.shape(x).clone();
        let value = self.node("Cast", &[x], shape, [("to", Attribute::Int(DataType::Int64 as i64))]);
        self.values[value.0].element = Element::Integer;
        value
    }

    pub(crate) fn refuse<T>(
        &self,
        op: &'static str,
        operands: String,
        expected: &'static str,
    ) -> Result<T, GraphError> {
        Err(GraphError::Operands { graph: self.name.clone(), op, operands, expected })
    }

    pub(crate) fn dims(&self, value: Value) -> Vec<Dim> {
        self.shape(value).0.clone()
    }

    fn value(&mut self, name: String, shape: Shape) -> Value {
        self.names.insert(name.clone());
        self.values.push(ValueInfo { name, shape, element: Element::Float });
        Value(self.values.len() - 1)
    }

    fn claim(&mut self, name: &str) -> Result<(), GraphError> {
        if self.names.contains(name) {
            return Err(GraphError::Name { graph: self.name.clone(), name: name.to_owned() });
        }
        self.names.insert(name.to_owned());
        Ok(())
    }
}
