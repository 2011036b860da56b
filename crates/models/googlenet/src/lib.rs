//! GoogLeNet.
//!
//! Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed, Dragomir Anguelov, Dumitru Erhan, Vincent
//! Vanhoucke, Andrew Rabinovich, *Going deeper with convolutions*, 2014, <https://arxiv.org/abs/1409.4842>.
//!
//! [`Version::Paper`] is the network of Table 1 and Figure 3. What the paper leaves open is as in BVLC's reference
//! (`models/bvlc_googlenet` of Caffe): the numbers of the local response normalization, pools that round sizes up, and the
//! first weights, Caffe's "xavier" with biases of 0.2, and 0 in the three classifiers.
//!
//! [`Version::Torchvision`] has batch normalization in place of biases and of local response normalization, 3x3
//! convolutions where the paper has 5x5, a 2x2 pool before 5a, less dropout, and auxiliary heads for any input size.

mod block;

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    Dropout, DropoutConfig, Layer, Linear, LocalResponseNormConfig, MaxPool2d, global_average, max_pool,
    sequence,
};

use block::{Auxiliary, ConvRelu, Inception, linear};

/// Where its details are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The paper, and BVLC's reference.
    Paper,
    /// torchvision.
    Torchvision,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct GoogLeNetConfig {
    /// Where its details are from.
    pub version: Version,
    /// Classes to tell apart.
    pub num_classes: usize,
}

/// The network of Table 1, with its two auxiliary classifiers.
#[derive(Module, Debug)]
pub struct GoogLeNet {
    conv1: ConvRelu,
    pool1: Vec<Layer>,
    conv2: ConvRelu,
    conv3: ConvRelu,
    pool2: Vec<Layer>,
    inception3a: Inception,
    inception3b: Inception,
    pool3: MaxPool2d,
    inception4a: Inception,
    aux1: Auxiliary,
    inception4b: Inception,
    inception4c: Inception,
    inception4d: Inception,
    aux2: Auxiliary,
    inception4e: Inception,
    pool4: MaxPool2d,
    inception5a: Inception,
    inception5b: Inception,
    dropout: Dropout,
    fc: Linear,
}

impl GoogLeNetConfig {
    /// A network with fresh weights: torchvision's N(0, 0.01), or the reference's of the paper.
    pub fn init(&self, device: &Device) -> GoogLeNet {
        let Self { version, num_classes } = *self;
        let conv = |channels, kernel, stride| ConvRelu::new(channels, kernel, stride, version, device);
        let pool = |kernel| max_pool(kernel, 2).with_ceil_mode(true).init();
        let norm = || LocalResponseNormConfig::new(5).with_alpha(1e-4).with_beta(0.75).with_k(1.0).init();
        let (pool1, pool2, last_pool, dropout) = match version {
            Version::Paper => (
                vec![Layer::MaxPool(pool(3)), Layer::ResponseNorm(norm())],
                vec![Layer::ResponseNorm(norm()), Layer::MaxPool(pool(3))],
                3,
                0.4,
            ),
            Version::Torchvision => (vec![Layer::MaxPool(pool(3))], vec![Layer::MaxPool(pool(3))], 2, 0.2),
        };
        let mut input = 192;
        let mut inception = |widths: [usize; 6]| {
            let module = Inception::new(input, widths, version, device);
            input = widths[0] + widths[2] + widths[4] + widths[5];
            module
        };
        // Table 1 of the paper: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
        GoogLeNet {
            conv1: conv([3, 64], 7, 2),
            pool1,
            conv2: conv([64, 64], 1, 1),
            conv3: conv([64, 192], 3, 1),
            pool2,
            inception3a: inception([64, 96, 128, 16, 32, 32]),
            inception3b: inception([128, 128, 192, 32, 96, 64]),
            pool3: pool(3),
            inception4a: inception([192, 96, 208, 16, 48, 64]),
            aux1: Auxiliary::new(512, num_classes, version, device),
            inception4b: inception([160, 112, 224, 24, 64, 64]),
            inception4c: inception([128, 128, 256, 24, 64, 64]),
            inception4d: inception([112, 144, 288, 32, 64, 64]),
            aux2: Auxiliary::new(528, num_classes, version, device),
            inception4e: inception([256, 160, 320, 32, 128, 128]),
            pool4: pool(last_pool),
            inception5a: inception([256, 160, 320, 32, 128, 128]),
            inception5b: inception([384, 192, 384, 48, 128, 128]),
            dropout: DropoutConfig::new(dropout).init(),
            fc: linear([1024, num_classes], 0.0, version, device),
        }
    }
}

impl Network for GoogLeNet {
    type Output = Tensor<2>;

    /// Without the auxiliary classifiers.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper; at least 31 pixels a side, in torchvision's version 15) to logits
    /// `[batch, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let at_4a = self.up_to_4a(images);
        self.after_4d(self.up_to_4d(at_4a))
    }
}

impl GoogLeNet {
    /// With the auxiliary classifiers, for training: the network's own answer, that of the head behind 4a, that of the head
    /// behind 4d. The paper weighs their losses 1, 0.3 and 0.3.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` (224 in the paper) to three times logits `[batch, num_classes]`
    ///
    /// # Panics
    /// In the paper's version, if the heads do not stand on 14 to 16 positions a side: images of 209 to 256 pixels.
    pub fn forward_with_aux(&self, images: Tensor<4>) -> [Tensor<2>; 3] {
        let at_4a = self.up_to_4a(images);
        let at_4d = self.up_to_4d(at_4a.clone());
        [self.after_4d(at_4d.clone()), self.aux1.forward(at_4a), self.aux2.forward(at_4d)]
    }

    fn up_to_4a(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.conv1.forward(images);
        let x = sequence(&self.pool1, x);
        let x = self.conv3.forward(self.conv2.forward(x));
        let x = sequence(&self.pool2, x);
        let x = self.inception3b.forward(self.inception3a.forward(x));
        self.inception4a.forward(self.pool3.forward(x))
    }

    fn up_to_4d(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.inception4b.forward(x);
        let x = self.inception4c.forward(x);
        self.inception4d.forward(x)
    }

    fn after_4d(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool4.forward(self.inception4e.forward(x));
        let x = self.inception5b.forward(self.inception5a.forward(x));
        self.fc.forward(self.dropout.forward(global_average(x)))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::Distribution;
    use kiln_core::{learnable_parameters, without_gradient};

    use super::*;

    const VERSIONS: [Version; 2] = [Version::Paper, Version::Torchvision];

    fn heads(network: &GoogLeNet) -> usize {
        learnable_parameters(&network.aux1) + learnable_parameters(&network.aux2)
    }

    #[test]
    fn torchvisions_parameters_are_the_published_ones() {
        let network =
            GoogLeNetConfig { version: Version::Torchvision, num_classes: 1000 }.init(&Device::flex());
        // torchvision.models.googlenet, num_params 6,624,904; its file of weights holds the heads too.
        assert_eq!(learnable_parameters(&network), 13_004_888);
        assert_eq!(learnable_parameters(&network) - heads(&network), 6_624_904);
    }

    #[test]
    fn the_papers_parameters_are_those_of_table_1_with_biases() {
        let conv = |input: usize, output: usize, kernel: usize| input * output * kernel * kernel + output;
        let linear = |input: usize, output: usize| input * output + output;
        // Input channels, then Table 1.
        let table = [
            [192, 64, 96, 128, 16, 32, 32],
            [256, 128, 128, 192, 32, 96, 64],
            [480, 192, 96, 208, 16, 48, 64],
            [512, 160, 112, 224, 24, 64, 64],
            [512, 128, 128, 256, 24, 64, 64],
            [512, 112, 144, 288, 32, 64, 64],
            [528, 256, 160, 320, 32, 128, 128],
            [832, 256, 160, 320, 32, 128, 128],
            [832, 384, 192, 384, 48, 128, 128],
        ];
        let inception = |[input, ones, reduced3, threes, reduced5, fives, pooled]: [usize; 7]| {
            let first = [ones, reduced3, reduced5, pooled].map(|output| conv(input, output, 1));
            first.iter().sum::<usize>() + conv(reduced3, threes, 3) + conv(reduced5, fives, 5)
        };
        let stem = conv(3, 64, 7) + conv(64, 64, 1) + conv(64, 192, 3);
        let main = stem + table.map(inception).iter().sum::<usize>() + linear(1024, 1000);
        let head = |input| conv(input, 128, 1) + linear(128 * 4 * 4, 1024) + linear(1024, 1000);
        assert_eq!([main, main + head(512) + head(528)], [6_998_552, 13_378_280]);

        let network = GoogLeNetConfig { version: Version::Paper, num_classes: 1000 }.init(&Device::flex());
        assert_eq!(learnable_parameters(&network), 13_378_280);
        assert_eq!(learnable_parameters(&network) - heads(&network), 6_998_552);
    }

    #[test]
    fn pools_round_sizes_up() {
        let device = Device::flex();
        for (version, smallest) in VERSIONS.into_iter().zip([31, 15]) {
            let network = GoogLeNetConfig { version, num_classes: 10 }.init(&device);
            // The convolution, then three pools: 97 -> 49 -> 24 -> 12 -> 6 and 131 -> 66 -> 33 -> 16 -> 8. Rounded down,
            // 66 would become 32 and 16 then 7.
            let x = network.up_to_4a(Tensor::zeros([1, 3, 97, 131], &device));
            assert_eq!(x.dims(), [1, 512, 6, 8], "{version:?}");
            let logits = network.forward(Tensor::zeros([1, 3, smallest, smallest], &device));
            assert_eq!(logits.dims(), [1, 10], "{version:?}");
        }
    }

    #[test]
    fn the_networks_own_answer_is_the_same_with_and_without_heads() {
        let device = Device::flex();
        for version in VERSIONS {
            let network = GoogLeNetConfig { version, num_classes: 10 }.init(&device);
            let images = Tensor::random([1, 3, 224, 224], Distribution::Normal(0.0, 1.0), &device);
            let logits = network.forward(images.clone());
            let with_aux = network.forward_with_aux(images);
            assert_eq!(with_aux.each_ref().map(|logits| logits.dims()), [[1, 10]; 3], "{version:?}");
            let [main, ..] = with_aux;
            assert_eq!((logits - main).abs().max().into_scalar::<f32>(), 0.0, "{version:?}");
        }
    }

    #[test]
    fn fresh_weights_are_the_references() {
        let device = Device::flex();
        let range = |bias: &Option<Param<Tensor<1>>>| {
            let bias = bias.as_ref().expect("a bias").val();
            [bias.clone().min(), bias.max()].map(|x| x.into_scalar::<f32>())
        };
        let extent = |linear: &Linear| linear.weight.val().abs().max().into_scalar::<f32>();

        // Caffe's xavier is uniform within sqrt(3 / fan-in), here sqrt(3 / 1024) = 0.054127, and 1,024,000 draws come near.
        let paper = GoogLeNetConfig { version: Version::Paper, num_classes: 1000 }.init(&device);
        assert!((0.0540..0.05413).contains(&extent(&paper.fc)));
        assert_eq!(range(&paper.fc.bias), [0.0, 0.0]);
        assert_eq!(range(&paper.conv1.conv.bias), [0.2, 0.2]);
        assert_eq!(range(&paper.aux1.fc1.bias), [0.2, 0.2]);

        // N(0, 0.01) goes beyond four standard deviations in 1,024,000 draws; PyTorch's biases are within 1 / sqrt(1024).
        let torchvision = GoogLeNetConfig { version: Version::Torchvision, num_classes: 1000 }.init(&device);
        assert!((0.04..0.08).contains(&extent(&torchvision.fc)));
        let [low, high] = range(&torchvision.fc.bias);
        assert!((-0.03125..-0.030).contains(&low) && (0.030..0.03125).contains(&high), "{low} {high}");
    }

    #[test]
    fn versions_differ_in_dropout_normalization_and_the_last_pool() {
        for (version, dropout, epsilon, pool) in
            [(Version::Paper, 0.4, None, 3), (Version::Torchvision, 0.2, Some(1e-3), 2)]
        {
            let network = GoogLeNetConfig { version, num_classes: 10 }.init(&Device::flex());
            assert_eq!([network.dropout.prob, network.aux1.dropout.prob], [dropout, 0.7]);
            assert_eq!(network.conv1.bn.as_ref().map(|norm| norm.epsilon), epsilon);
            assert_eq!([network.pool3.kernel_size, network.pool4.kernel_size], [[3; 2], [pool; 2]]);
        }
    }

    #[test]
    fn every_parameter_receives_a_gradient_with_aux() {
        let device = Device::flex().autodiff();
        for (version, side) in [(Version::Paper, 224), (Version::Torchvision, 64)] {
            let network = GoogLeNetConfig { version, num_classes: 10 }.init(&device);
            let images = Tensor::random([2, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
            let logits = Tensor::cat(network.forward_with_aux(images).to_vec(), 0);
            let loss = (logits * Tensor::random([6, 10], Distribution::Default, &device)).sum();
            let gradients = loss.backward();
            assert_eq!(without_gradient(&network, &gradients), Vec::<String>::new(), "{version:?}");
        }
    }
}
