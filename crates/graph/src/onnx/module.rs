//! Layers as ONNX has them.

use burn_ir::{
    FloatOperationIr as Float, InterpolateModeIr as Mode, ModuleOperationIr as Module,
    NumericOperationIr as Numeric, OperationIr, TensorIr,
};

use super::{File, float, int, ints, text};
use crate::graph::Node;

impl File {
    /// Writes a layer of several operations that ONNX has as one; whether it has.
    pub(super) fn layer(&mut self, node: &Node) -> bool {
        match node.kind.as_str() {
            "mish" => {
                let Some(x) = node.operations[0].inputs().next().cloned() else { return false };
                let (x, y) = (self.name(&x), self.name(&node.output));
                let softplus = self.between("Softplus", vec![x.clone()], vec![]);
                let tanh = self.between("Tanh", vec![softplus], vec![]);
                self.push("Mul", vec![x, tanh], y, vec![]);
                true
            }
            "response_norm" => self.response_norm(node).is_some(),
            _ => false,
        }
    }

    fn response_norm(&mut self, node: &Node) -> Option<()> {
        let (mut size, mut alpha, mut beta, mut k) = (None, None, None, None);
        for operation in &node.operations {
            match operation {
                OperationIr::Module(Module::AvgPool1d(pool)) => size = Some(pool.kernel_size),
                OperationIr::NumericFloat(_, Numeric::MulScalar(op)) => alpha = Some(op.rhs.elem::<f64>()),
                OperationIr::NumericFloat(_, Numeric::AddScalar(op)) => k = Some(op.rhs.elem::<f64>()),
                OperationIr::Float(_, Float::PowfScalar(op)) => beta = Some(op.rhs.elem::<f64>()),
                _ => {}
            }
        }
        let attributes =
            vec![int("size", size? as i64), float("alpha", alpha?), float("beta", beta?), float("bias", k?)];
        let x = node.operations[0].inputs().next()?.clone();
        let (x, y) = (self.name(&x), self.name(&node.output));
        self.push("LRN", vec![x], y, attributes);
        Some(())
    }

    pub(super) fn module(&mut self, operation: &Module) -> Option<()> {
        match operation {
            Module::Conv2d(conv) => {
                let options = &conv.options;
                let [(top, bottom), (left, right)] = options.padding;
                let inputs = self.all([Some(&conv.x), Some(&conv.weight), conv.bias.as_ref()]);
                let attributes = vec![
                    ints("kernel_shape", conv.weight.shape[2..].to_vec()),
                    ints("strides", options.stride),
                    ints("pads", [top, left, bottom, right]),
                    ints("dilations", options.dilation),
                    int("group", options.groups as i64),
                ];
                self.write("Conv", inputs, &conv.out, attributes)
            }
            Module::ConvTranspose2d(conv) => {
                let options = &conv.options;
                let [rows, columns] = options.padding;
                let inputs = self.all([Some(&conv.x), Some(&conv.weight), conv.bias.as_ref()]);
                let attributes = vec![
                    ints("kernel_shape", conv.weight.shape[2..].to_vec()),
                    ints("strides", options.stride),
                    ints("pads", [rows, columns, rows, columns]),
                    ints("output_padding", options.padding_out),
                    ints("dilations", options.dilation),
                    int("group", options.groups as i64),
                ];
                self.write("ConvTranspose", inputs, &conv.out, attributes)
            }
            Module::Linear(linear) => {
                let inputs = self.all([Some(&linear.x), Some(&linear.weight), None]);
                match &linear.bias {
                    None => self.write("MatMul", inputs, &linear.out, vec![]),
                    Some(bias) => {
                        let product = self.between("MatMul", inputs, vec![]);
                        let bias = self.name(bias);
                        self.write("Add", vec![product, bias], &linear.out, vec![])
                    }
                }
            }
            Module::BatchNorm(norm) => {
                let inputs = [&norm.x, &norm.gamma, &norm.beta, &norm.mean, &norm.variance].map(Some);
                let inputs = self.all(inputs);
                let attributes = vec![float("epsilon", norm.epsilon.elem::<f64>())];
                self.write("BatchNormalization", inputs, &norm.out, attributes)
            }
            Module::MaxPool2d(pool) => {
                let sides = [&pool.kernel_size, &pool.stride, &pool.padding, &pool.dilation];
                let attributes = window(&pool.x, &pool.out, sides.map(|side| *side));
                let inputs = self.all([Some(&pool.x)]);
                self.write("MaxPool", inputs, &pool.out, attributes)
            }
            Module::MaxPool2dWithIndices(pool) => {
                let sides = [&pool.kernel_size, &pool.stride, &pool.padding, &pool.dilation];
                let attributes = window(&pool.x, &pool.out, sides.map(|side| *side));
                let inputs = self.all([Some(&pool.x)]);
                let (out, places) = (self.name(&pool.out), self.fresh());
                self.push_all("MaxPool", inputs, vec![out, places.clone()], attributes);
                // ONNX counts through the whole tensor, Burn through a channel's map.
                let map = self.integers(&[pool.x.shape[2..].iter().product::<usize>() as i64]);
                self.write("Mod", vec![places, map], &pool.out_indices, vec![])
            }
            Module::AvgPool2d(pool) => {
                let sides = [pool.kernel_size, pool.stride, pool.padding, [1, 1]];
                let mut attributes = window(&pool.x, &pool.out, sides);
                // Dilations came with opset 19.
                attributes.pop();
                attributes.push(int("count_include_pad", i64::from(pool.count_include_pad)));
                let inputs = self.all([Some(&pool.x)]);
                self.write("AveragePool", inputs, &pool.out, attributes)
            }
            Module::AdaptiveAvgPool2d(pool) => self.adaptive(&pool.x, &pool.out),
            Module::Interpolate(resize) => {
                let attributes = match (&resize.options.mode, resize.options.align_corners) {
                    (Mode::Nearest, _) => vec![
                        text("mode", "nearest"),
                        text("coordinate_transformation_mode", "asymmetric"),
                        text("nearest_mode", "floor"),
                    ],
                    (Mode::Bilinear, true) => {
                        vec![text("mode", "linear"), text("coordinate_transformation_mode", "align_corners")]
                    }
                    (Mode::Bilinear, false) => {
                        vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")]
                    }
                    _ => return None,
                };
                let shape: Vec<i64> = resize.out.shape.iter().map(|side| *side as i64).collect();
                let (x, sizes) = (self.name(&resize.x), self.integers(&shape));
                self.write("Resize", vec![x, String::new(), String::new(), sizes], &resize.out, attributes)
            }
            _ => None,
        }
    }

    /// The means of parts of a map: a pool where they are of one size, else products with two matrices.
    fn adaptive(&mut self, x: &TensorIr, out: &TensorIr) -> Option<()> {
        let [from, to] = [x, out].map(|tensor| [tensor.shape[2], tensor.shape[3]]);
        let inputs = self.all([Some(x)]);
        if to == [1, 1] {
            return self.write("GlobalAveragePool", inputs, out, vec![]);
        }
        if from[0] % to[0] == 0 && from[1] % to[1] == 0 {
            let size = [from[0] / to[0], from[1] / to[1]];
            return self.write(
                "AveragePool",
                inputs,
                out,
                vec![ints("kernel_shape", size), ints("strides", size)],
            );
        }
        let rows = self.means(from[0], to[0], false);
        let columns = self.means(from[1], to[1], true);
        let x = self.between("MatMul", vec![rows, inputs[0].clone()], vec![]);
        self.write("MatMul", vec![x, columns], out, vec![])
    }

    /// The matrix `[to, from]`, or turned, of the means of `to` parts of a side.
    fn means(&mut self, from: usize, to: usize, turned: bool) -> String {
        let mut matrix = vec![0.0f32; from * to];
        for part in 0..to {
            let (start, end) = (part * from / to, ((part + 1) * from).div_ceil(to));
            for at in start..end {
                let place = if turned { at * to + part } else { part * from + at };
                matrix[place] = 1.0 / (end - start) as f32;
            }
        }
        let name = self.fresh();
        let dims = if turned { [from, to] } else { [to, from] };
        self.initializers.push(super::TensorProto {
            dims: dims.map(|side| side as i64).to_vec(),
            data_type: super::FLOAT,
            name: name.clone(),
            raw_data: matrix.iter().flat_map(|number| number.to_le_bytes()).collect(),
        });
        name
    }

    /// The names of all tensors that there are.
    pub(super) fn all<const N: usize>(&mut self, tensors: [Option<&TensorIr>; N]) -> Vec<String> {
        tensors.into_iter().flatten().map(|tensor| self.name(tensor)).collect()
    }

    pub(super) fn write(
        &mut self,
        kind: &str,
        inputs: Vec<String>,
        out: &TensorIr,
        attributes: Vec<super::AttributeProto>,
    ) -> Option<()> {
        let out = self.name(out);
        self.push(kind, inputs, out, attributes);
        Some(())
    }
}

/// A pool's settings. Where Burn rounds the size of the output up, the padding behind is as wide as its last windows need.
fn window(
    x: &TensorIr,
    out: &TensorIr,
    [kernel, stride, before, dilation]: [[usize; 2]; 4],
) -> Vec<super::AttributeProto> {
    let behind = [0, 1].map(|side| {
        let reach = dilation[side] * (kernel[side] - 1) + 1;
        let end = (out.shape[2 + side] - 1) * stride[side] + reach;
        end.saturating_sub(x.shape[2 + side] + before[side])
    });
    vec![
        ints("kernel_shape", kernel),
        ints("strides", stride),
        ints("pads", [before[0], before[1], behind[0], behind[1]]),
        ints("dilations", dilation),
    ]
}
