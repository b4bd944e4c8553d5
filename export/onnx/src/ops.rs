//! The operators: one method each, which checks operands and infers the result's shape.
//!
//! Source: the ONNX operator reference, opset 20.

use crate::graph::{Attribute, Graph, GraphError, Value};
use crate::shape::{Dim, Shape};

impl Graph {
    /// Matrix product over the last two dimensions: `a` [..., m, k], `b` [k, n] -> [..., m, n]; or
    /// both with the same leading dimensions.
    pub fn matmul(&mut self, a: Value, b: Value) -> Result<Value, GraphError> {
        let (left, right) = (self.dims(a), self.dims(b));
        if let ([lead @ .., m, k], [other @ .., l, n]) = (&left[..], &right[..])
            && k == l
            && (other.is_empty() || other == lead)
        {
            let shape = Shape([lead, &[*m, *n]].concat());
            return Ok(self.node("MatMul", &[a, b], shape, []));
        }
        let operands = format!("{} and {}", self.shape(a), self.shape(b));
        self.refuse("MatMul", operands, "[..., m, k] and [k, n], or the same leading dimensions")
    }

    /// Sum of each element with its counterpart, after broadcasting.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value, GraphError> {
        self.elementwise("Add", a, b)
    }

    /// Product of each element with its counterpart, after broadcasting.
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value, GraphError> {
        self.elementwise("Mul", a, b)
    }

    /// `x * factor`.
    pub fn scale(&mut self, x: Value, factor: f32) -> Result<Value, GraphError> {
        let factor = self.scalar(factor);
        self.mul(x, factor)
    }

    /// The smaller of each element and `bound`.
    pub fn at_most(&mut self, x: Value, bound: f32) -> Result<Value, GraphError> {
        let bound = self.scalar(bound);
        self.elementwise("Min", x, bound)
    }

    /// `x + term`.
    pub fn shift(&mut self, x: Value, term: f32) -> Result<Value, GraphError> {
        let term = self.scalar(term);
        self.add(x, term)
    }

    /// The magnitude of each element.
    pub fn abs(&mut self, x: Value) -> Value {
        let shape = self.shape(x).clone();
        self.node("Abs", &[x], shape, [])
    }

    /// Rows of `table` [rows, n] by their numbers `ids` [...], whole numbers from 0 held as f32
    /// -> [..., n].
    pub fn lookup(&mut self, table: Value, ids: Value) -> Result<Value, GraphError> {
        let [Dim::Fixed(_), columns] = self.dims(table)[..] else {
            let operands = format!("{} by {}", self.shape(table), self.shape(ids));
            return self.refuse("Gather", operands, "a table [rows, n]");
        };
        let shape = Shape([&self.dims(ids)[..], &[columns]].concat());
        let ids = self.cast_to_integers(ids);
        Ok(self.node("Gather", &[table, ids], shape, []))
    }

    fn elementwise(&mut self, op: &'static str, a: Value, b: Value) -> Result<Value, GraphError> {
        match self.shape(a).broadcast(self.shape(b)) {
            Some(shape) => Ok(self.node(op, &[a, b], shape, [])),
            None => {
                let operands = format!("{} and {}", self.shape(a), self.shape(b));
                self.refuse(op, operands, "shapes that broadcast")
            }
        }
    }

    /// Two-dimensional convolution without padding: `x` [batch, channels, rows, columns], `kernel`
    /// [maps, channels, kernel rows, kernel columns], `bias` `[maps]` -> [batch, maps, rows, columns].
    pub fn conv(
        &mut self,
        x: Value,
        kernel: Value,
        bias: Option<Value>,
        stride: [usize; 2],
    ) -> Result<Value, GraphError> {
        let image = (self.dims(x), self.dims(kernel));
        if let ([lead, c, Dim::Fixed(h), Dim::Fixed(w)], [maps, d, Dim::Fixed(kh), Dim::Fixed(kw)]) =
            (&image.0[..], &image.1[..])
            && c == d
            && h >= kh
            && w >= kw
            && !stride.contains(&0)
            && bias.is_none_or(|b| self.shape(b).0 == [*maps])
        {
            let size = |edge: usize, kernel: usize, stride: usize| Dim::Fixed((edge - kernel) / stride + 1);
            let shape = Shape::from([*lead, *maps, size(*h, *kh, stride[0]), size(*w, *kw, stride[1])]);
            let inputs: Vec<Value> = [x, kernel].into_iter().chain(bias).collect();
            let attributes = [
                ("kernel_shape", Attribute::Ints(vec![*kh as i64, *kw as i64])),
                ("strides", Attribute::Ints(stride.map(|s| s as i64).to_vec())),
            ];
            return Ok(self.node("Conv", &inputs, shape, attributes));
        }
        let operands = format!("{} with kernel {}, stride {stride:?}", self.shape(x), self.shape(kernel));
        self.refuse("Conv", operands, "[batch, channels, rows, columns] no smaller than the kernel")
    }

    /// The same values under another shape, in which the batch stays first.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Result<Value, GraphError> {
        let shape = shape.into();
        let size = |dims: &[Dim]| dims.iter().map(|d| d.fixed()).product::<Option<usize>>();
        let from = self.dims(x);
        let same = match (&from[..], &shape.0[..]) {
            ([Dim::Batch, from @ ..], [Dim::Batch, to @ ..]) | (from, to) => {
                size(from).is_some() && size(from) == size(to)
            }
        };
        if !same {
            let operands = format!("{} to {shape}", self.shape(x));
            return self.refuse("Reshape", operands, "as many values, batch first");
        }
        // 0 copies the dimension, which is how the batch stays dynamic.
        let target = shape.0.iter().map(|d| d.fixed().map_or(0, |size| size as i64)).collect();
        let target = self.integers(target);
        Ok(self.node("Reshape", &[x, target], shape, []))
    }

    /// Dimension `permutation[i]` of `x` becomes dimension `i`.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Result<Value, GraphError> {
        let from = self.dims(x);
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..from.len()) {
            let operands = format!("{} by {permutation:?}", self.shape(x));
            return self.refuse("Transpose", operands, "a permutation of its dimensions");
        }
        let shape = Shape(permutation.iter().map(|axis| from[*axis]).collect());
        let permutation = permutation.iter().map(|axis| *axis as i64).collect();
        Ok(self.node("Transpose", &[x], shape, [("perm", Attribute::Ints(permutation))]))
    }

    /// Zeros before the first entry of `axis`.
    pub fn pad_front(&mut self, x: Value, axis: usize, count: usize) -> Result<Value, GraphError> {
        let mut dims = self.dims(x);
        let Some(Dim::Fixed(size)) = dims.get(axis).copied() else {
            let operands = format!("{} along {axis}", self.shape(x));
            return self.refuse("Pad", operands, "an axis of known size");
        };
        dims[axis] = Dim::Fixed(size + count);
        let mut pads = vec![0; 2 * dims.len()];
        pads[axis] = count as i64;
        let pads = self.integers(pads);
        Ok(self.node("Pad", &[x, pads], Shape(dims), []))
    }

    /// Entries `range` of `axis`.
    pub fn slice(
        &mut self,
        x: Value,
        axis: usize,
        range: std::ops::Range<usize>,
    ) -> Result<Value, GraphError> {
        let mut dims = self.dims(x);
        match dims.get(axis) {
            Some(Dim::Fixed(size)) if range.start < range.end && range.end <= *size => {}
            _ => {
                let operands = format!("{range:?} of axis {axis} of {}", self.shape(x));
                return self.refuse("Slice", operands, "a range within an axis of known size");
            }
        }
        dims[axis] = Dim::Fixed(range.len());
        let bounds = [range.start, range.end, axis].map(|number| self.integers(vec![number as i64]));
        let [start, end, axes] = bounds;
        Ok(self.node("Slice", &[x, start, end, axes], Shape(dims), []))
    }

    /// Softmax over the last dimension.
    pub fn softmax(&mut self, x: Value) -> Value {
        let shape = self.shape(x).clone();
        self.node("Softmax", &[x], shape, [("axis", Attribute::Int(-1))])
    }

    /// Layer normalisation over the last dimension: `x` [..., n], `weight` and `bias` `[n]`.
    pub fn layer_norm(
        &mut self,
        x: Value,
        weight: Value,
        bias: Value,
        epsilon: f32,
    ) -> Result<Value, GraphError> {
        let dims = self.dims(x);
        let last = dims.last().copied();
        if last.is_none() || [weight, bias].iter().any(|v| self.shape(*v).0 != last.as_slice()) {
            let operands = format!("{} by {} and {}", self.shape(x), self.shape(weight), self.shape(bias));
            return self.refuse("LayerNormalization", operands, "[..., n] by [n] and [n]");
        }
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(epsilon))];
        Ok(self.node("LayerNormalization", &[x, weight, bias], Shape(dims), attributes))
    }

    /// `x Φ(x)`, exact.
    pub fn gelu(&mut self, x: Value) -> Value {
        let shape = self.shape(x).clone();
        self.node("Gelu", &[x], shape, [])
    }

    /// Logistic function.
    pub fn sigmoid(&mut self, x: Value) -> Value {
        let shape = self.shape(x).clone();
        self.node("Sigmoid", &[x], shape, [])
    }

    /// Mean over `axis`, which goes away.
    pub fn mean(&mut self, x: Value, axis: usize) -> Result<Value, GraphError> {
        let mut dims = self.dims(x);
        if axis >= dims.len() {
            let operands = format!("{} over axis {axis}", self.shape(x));
            return self.refuse("ReduceMean", operands, "one of its axes");
        }
        dims.remove(axis);
        let axes = self.integers(vec![axis as i64]);
        Ok(self.node("ReduceMean", &[x, axes], Shape(dims), [("keepdims", Attribute::Int(0))]))
    }
}
