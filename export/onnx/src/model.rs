//! From a graph to the bytes of an ONNX file.

use prost::Message;

use crate::graph::{Attribute, Constant, Element, Graph, Node, Value};
use crate::proto::attribute_proto::AttributeType;
use crate::proto::tensor_proto::DataType;
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use crate::shape::Dim;

/// Operator set of the files: the first in which GELU is one operator.
pub const OPSET: i64 = 20;
/// Version of the file format that came with it.
pub const IR_VERSION: i64 = 9;

impl Graph {
    /// The bytes of the `.onnx` file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_model().encode_to_vec()
    }

    /// The model as protobuf messages.
    pub fn to_model(&self) -> ModelProto {
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            producer_name: Some("cmpt".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.to_proto()),
            ..ModelProto::default()
        }
    }

    fn to_proto(&self) -> GraphProto {
        let infos = |values: &[Value]| values.iter().map(|v| self.value_info(*v)).collect();
        let inner: Vec<Value> =
            self.nodes.iter().map(|node| node.output).filter(|v| !self.outputs.contains(v)).collect();
        GraphProto {
            name: Some(self.name.clone()),
            node: self.nodes.iter().map(|node| self.node_proto(node)).collect(),
            initializer: self.constants.iter().map(|(v, constant)| self.tensor(*v, constant)).collect(),
            input: infos(&self.inputs),
            output: infos(&self.outputs),
            value_info: infos(&inner),
            ..GraphProto::default()
        }
    }

    fn name_of(&self, value: Value) -> String {
        self.values[value.0].name.clone()
    }

    fn node_proto(&self, node: &Node) -> NodeProto {
        NodeProto {
            name: Some(self.name_of(node.output)),
            op_type: Some(node.op.to_owned()),
            input: node.inputs.iter().map(|v| self.name_of(*v)).collect(),
            output: vec![self.name_of(node.output)],
            attribute: node.attributes.iter().map(|(name, a)| attribute(name, a)).collect(),
            ..NodeProto::default()
        }
    }

    fn tensor(&self, value: Value, constant: &Constant) -> TensorProto {
        let (data_type, raw): (DataType, Vec<u8>) = match constant {
            Constant::Floats(floats) => {
                (DataType::Float, floats.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            Constant::Integers(integers) => {
                (DataType::Int64, integers.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
        };
        TensorProto {
            name: Some(self.name_of(value)),
            dims: self.shape(value).0.iter().filter_map(|d| d.fixed()).map(|size| size as i64).collect(),
            data_type: Some(data_type.into()),
            raw_data: Some(raw),
            ..TensorProto::default()
        }
    }

    fn value_info(&self, value: Value) -> ValueInfoProto {
        let dim = self.shape(value).0.iter().map(|dim| Dimension {
            denotation: None,
            value: Some(match dim {
                Dim::Batch => dimension::Value::DimParam("batch".to_owned()),
                Dim::Fixed(size) => dimension::Value::DimValue(*size as i64),
            }),
        });
        let element = match self.values[value.0].element {
            Element::Float => DataType::Float,
            Element::Integer => DataType::Int64,
        };
        let tensor = type_proto::Tensor {
            elem_type: Some(element.into()),
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        };
        ValueInfoProto {
            name: Some(self.name_of(value)),
            r#type: Some(TypeProto { denotation: None, value: Some(type_proto::Value::TensorType(tensor)) }),
            ..ValueInfoProto::default()
        }
    }
}

fn attribute(name: &str, attribute: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    let kind = match attribute {
        Attribute::Int(i) => {
            proto.i = Some(*i);
            AttributeType::Int
        }
        Attribute::Ints(ints) => {
            proto.ints = ints.clone();
            AttributeType::Ints
        }
        Attribute::Float(f) => {
            proto.f = Some(*f);
            AttributeType::Float
        }
    };
    proto.set_type(kind);
    proto
}
