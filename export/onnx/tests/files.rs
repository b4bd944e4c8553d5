//! What is written is the graph that was built: names, shapes, constants, operators.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashSet;

use cmpt_onnx::proto::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto, type_proto};
use cmpt_onnx::{Graph, GraphError, IR_VERSION, OPSET, Shape};
use prost::Message;

fn written(graph: &Graph) -> GraphProto {
    let model = ModelProto::decode(graph.to_bytes().as_slice()).unwrap();
    assert_eq!(model.ir_version, Some(IR_VERSION));
    assert_eq!(model.opset_import[0].version, Some(OPSET));
    model.graph.unwrap()
}

fn shape(info: &ValueInfoProto) -> Vec<String> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.as_ref().unwrap().value else {
        panic!("not a tensor: {info:?}")
    };
    let dims = tensor.shape.as_ref().unwrap().dim.iter();
    dims.map(|dim| match dim.value.as_ref().unwrap() {
        tensor_shape_proto::dimension::Value::DimValue(size) => size.to_string(),
        tensor_shape_proto::dimension::Value::DimParam(name) => name.clone(),
    })
    .collect()
}

/// A graph with every operator.
fn everything() -> Result<Graph, GraphError> {
    let mut g = Graph::new("everything");
    let image = g.input("image", Shape::batched(&[2, 6, 8]));
    let kernel = g.constant("kernel", [4, 2, 2, 2], &[0.1; 32])?;
    let bias = g.constant("bias", [4], &[0.5; 4])?;
    let maps = g.conv(image, kernel, Some(bias), [2, 2])?;
    let patches = g.reshape(maps, Shape::batched(&[4, 12]))?;
    let tokens = g.transpose(patches, &[0, 2, 1])?;
    let tokens = g.pad_front(tokens, 1, 1)?;
    let weight = g.constant("weight", [4, 4], &[0.25; 16])?;
    let product = g.matmul(tokens, weight)?;
    let sum = g.add(product, bias)?;
    let scaled = g.scale(sum, 0.5)?;
    let gate = g.sigmoid(scaled);
    let gated = g.mul(scaled, gate)?;
    let normed = g.layer_norm(gated, bias, bias, 1e-5)?;
    let active = g.gelu(normed);
    let shares = g.softmax(active);
    let first = g.slice(shares, 1, 0..2)?;
    let mean = g.mean(first, 1)?;
    g.output("mean", mean)?;
    g.output("shares", shares)?;
    Ok(g)
}

#[test]
fn every_value_has_its_shape_and_its_own_name() {
    let graph = written(&everything().unwrap());
    assert_eq!(graph.name.as_deref(), Some("everything"));
    assert_eq!(shape(&graph.input[0]), ["batch", "2", "6", "8"]);
    assert_eq!(graph.output[0].name.as_deref(), Some("mean"));
    assert_eq!(shape(&graph.output[0]), ["batch", "4"]);
    assert_eq!(shape(&graph.output[1]), ["batch", "13", "4"]);
    assert_eq!(graph.output.len() + graph.value_info.len(), graph.node.len());
    let constants = graph.initializer.iter().map(|tensor| tensor.name.clone().unwrap());
    let computed = graph.node.iter().flat_map(|node| node.output.clone());
    let names: Vec<String> = constants.chain(computed).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    for input in graph.node.iter().flat_map(|node| &node.input) {
        assert!(names.contains(input) || input == "image", "{input} comes from nowhere");
    }
}

#[test]
fn constants_are_written_bit_by_bit() {
    let mut g = Graph::new("constants");
    let values = [1.0, -0.0, f32::MIN_POSITIVE, f32::MAX];
    g.constant("values", [2, 2], &values).unwrap();
    let graph = written(&g);
    let raw = graph.initializer[0].raw_data.as_ref().unwrap();
    let back: Vec<u32> = raw.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(back, values.map(f32::to_bits));
    assert_eq!(graph.initializer[0].dims, [2, 2]);
}

#[test]
fn one_value_can_be_several_outputs_and_an_input_can_be_one() {
    let mut g = Graph::new("outputs");
    let x = g.input("x", Shape::batched(&[3]));
    let y = g.sigmoid(x);
    for name in ["y", "again"] {
        g.output(name, y).unwrap();
    }
    g.output("x_too", x).unwrap();
    let graph = written(&g);
    let outputs: Vec<_> = graph.output.iter().map(|o| o.name.as_deref().unwrap()).collect();
    assert_eq!(outputs, ["y", "again", "x_too"]);
    let made: Vec<_> =
        graph.node.iter().map(|n| (n.op_type.as_deref().unwrap(), n.input[0].as_str())).collect();
    assert_eq!(made, [("Sigmoid", "x"), ("Identity", "y"), ("Identity", "x")]);
}

#[test]
fn mistakes_are_refused_where_they_are_made() {
    let mut g = Graph::new("mistakes");
    let x = g.input("x", Shape::batched(&[3, 4]));
    let w = g.constant("w", [5, 2], &[0.0; 10]).unwrap();
    let error = g.matmul(x, w).unwrap_err().to_string();
    assert_eq!(
        error,
        "build graph mistakes: MatMul of [batch, 3, 4] and [5, 2], \
         expected [..., m, k] and [k, n], or the same leading dimensions"
    );
    assert!(g.add(x, w).is_err());
    assert!(g.reshape(x, Shape::batched(&[13])).is_err());
    assert!(g.reshape(x, Shape::fixed(&[12])).is_err(), "a batch is not one");
    assert!(g.transpose(x, &[0, 1, 1]).is_err());
    assert!(g.slice(x, 1, 2..4).is_err());
    assert!(g.slice(x, 0, 0..1).is_err(), "the batch is not known");
    assert!(g.mean(x, 3).is_err());
    assert!(g.layer_norm(x, w, w, 1e-5).is_err());
    assert!(g.conv(x, w, None, [1, 1]).is_err());
    assert!(matches!(g.constant("v", [2], &[0.0]), Err(GraphError::Constant { found: 1, .. })));
    assert!(matches!(g.constant("w", [1], &[0.0]), Err(GraphError::Name { .. })));
    assert!(matches!(g.output("x", x), Err(GraphError::Name { .. })));
}
