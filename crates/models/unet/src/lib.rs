//! U-Net.
//!
//! Olaf Ronneberger, Philipp Fischer, Thomas Brox, *U-Net: convolutional networks for biomedical image segmentation*, 2015,
//! <https://arxiv.org/abs/1505.04597>.
//!
//! [`Borders::Valid`] is the paper's: no convolution pads, so that 572 pixels a side come to 388, and images are continued by
//! their mirror image beyond their borders (Figure 2), which gives every pixel a label. [`Borders::Padded`] with batch
//! normalization is the form that most people use. Names of weights are those of milesial's Pytorch-UNet.

use burn::prelude::*;
use kiln_core::{LabelLogits, Network};
use kiln_nn::{
    BatchNormConfig, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Dropout, DropoutConfig,
    KAIMING_FAN_IN, Layer, MaxPool2d, Relu, cat_channels, max_pool, padded, sequence,
};

/// What a convolution sees beyond the borders of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Borders {
    /// Nothing: its output is smaller by two pixels. The paper's.
    Valid,
    /// Zeros: its output has the size of its input.
    Padded,
}

/// What there is to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct UNetConfig {
    /// What a convolution sees beyond the borders.
    pub borders: Borders,
    /// Whether a batch normalization, in place of a bias, stands behind every convolution. The paper has none.
    pub batch_norm: bool,
    /// Channels of the first level; every next one has twice as many. The paper has 64.
    pub width: usize,
    /// Probability with which a number is dropped at the end of the contracting path. The paper does not say it; the authors'
    /// network has 0.5.
    pub dropout: f64,
    /// Classes to tell apart.
    pub num_classes: usize,
}

impl UNetConfig {
    /// The paper's network.
    pub fn new(num_classes: usize) -> Self {
        Self { borders: Borders::Valid, batch_norm: false, width: 64, dropout: 0.5, num_classes }
    }
}

/// The network of Figure 1.
#[derive(Module, Debug)]
pub struct UNet {
    inc: DoubleConv,
    down1: Down,
    down2: Down,
    down3: Down,
    down4: Down,
    dropout: Dropout,
    up1: Up,
    up2: Up,
    up3: Up,
    up4: Up,
    outc: OutConv,
    #[module(skip)]
    borders: Borders,
}

/// Two 3x3 convolutions.
#[derive(Module, Debug)]
struct DoubleConv {
    double_conv: Vec<Layer>,
}

/// To half of the size.
#[derive(Module, Debug)]
struct Down {
    maxpool_conv: (MaxPool2d, DoubleConv),
}

/// To twice the size, beside what the contracting path had there.
#[derive(Module, Debug)]
struct Up {
    up: ConvTranspose2d,
    conv: DoubleConv,
}

/// A score for every class.
#[derive(Module, Debug)]
struct OutConv {
    conv: Conv2d,
}

impl UNetConfig {
    /// A network with fresh weights: He's normal initialization over the fan-in (Section 3); what enlarges, as PyTorch draws
    /// it.
    pub fn init(&self, device: &Device) -> UNet {
        let [c1, c2, c3, c4, c5] = [0, 1, 2, 3, 4].map(|level| self.width << level);
        let down =
            |channels| Down { maxpool_conv: (max_pool(2, 2).init(), self.double_conv(channels, device)) };
        let up = |channels: [usize; 2]| Up {
            up: ConvTranspose2dConfig::new(channels, [2, 2]).with_stride([2, 2]).init(device),
            conv: self.double_conv(channels, device),
        };
        let scores = Conv2dConfig::new([c1, self.num_classes], [1, 1]).with_initializer(KAIMING_FAN_IN);
        UNet {
            inc: self.double_conv([3, c1], device),
            down1: down([c1, c2]),
            down2: down([c2, c3]),
            down3: down([c3, c4]),
            down4: down([c4, c5]),
            dropout: DropoutConfig::new(self.dropout).init(),
            up1: up([c5, c4]),
            up2: up([c4, c3]),
            up3: up([c3, c2]),
            up4: up([c2, c1]),
            outc: OutConv { conv: scores.init(device) },
            borders: self.borders,
        }
    }

    fn double_conv(&self, [input, output]: [usize; 2], device: &Device) -> DoubleConv {
        let padding = if self.borders == Borders::Valid { 0 } else { 1 };
        let mut double_conv = Vec::new();
        for input in [input, output] {
            let conv = Conv2dConfig::new([input, output], [3, 3]).with_padding(padded(padding));
            let conv = conv.with_bias(!self.batch_norm).with_initializer(KAIMING_FAN_IN);
            double_conv.push(Layer::Conv(conv.init(device)));
            if self.batch_norm {
                double_conv.push(Layer::Norm(BatchNormConfig::new(output).init(device)));
            }
            double_conv.push(Layer::Relu(Relu::new()));
        }
        DoubleConv { double_conv }
    }
}

impl Network for UNet {
    type Output = LabelLogits;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, num_classes, height, width]`; of any size with [`Borders::Valid`], else at
    /// least 16 pixels a side
    fn forward(&self, images: Tensor<4>) -> LabelLogits {
        match self.borders {
            Borders::Padded => self.levels(images).into(),
            Borders::Valid => {
                let [.., height, width] = images.dims();
                let x = self.levels(mirrored(images));
                x.narrow(2, 0, height).narrow(3, 0, width).into()
            }
        }
    }
}

impl UNet {
    /// The network itself.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to scores `[batch, num_classes, height, width]`, with [`Borders::Valid`] of sides smaller by
    /// 184 pixels, for sides of `16 n + 124`: 572 to 388 in the paper
    pub fn levels(&self, images: Tensor<4>) -> Tensor<4> {
        let x1 = self.inc.forward(images);
        let x2 = self.down1.forward(x1.clone());
        let x3 = self.down2.forward(x2.clone());
        let x4 = self.dropout.forward(self.down3.forward(x3.clone()));
        let x = self.dropout.forward(self.down4.forward(x4.clone()));
        let x = self.up1.forward(x, x4, self.borders);
        let x = self.up2.forward(x, x3, self.borders);
        let x = self.up3.forward(x, x2, self.borders);
        let x = self.up4.forward(x, x1, self.borders);
        self.outc.conv.forward(x)
    }
}

impl DoubleConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        sequence(&self.double_conv, x)
    }
}

impl Down {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (pool, conv) = &self.maxpool_conv;
        conv.forward(pool.forward(x))
    }
}

impl Up {
    fn forward(&self, x: Tensor<4>, skip: Tensor<4>, borders: Borders) -> Tensor<4> {
        let x = self.up.forward(x);
        let ([_, _, rows, columns], [_, _, height, width]) = (x.dims(), skip.dims());
        let (skip, x) = match borders {
            // What the contracting path has beyond is cut off, the same on all sides.
            Borders::Valid => {
                let skip = skip.narrow(2, (height - rows) / 2, rows);
                (skip.narrow(3, (width - columns) / 2, columns), x)
            }
            // An odd side is one more than twice what its pool leaves.
            Borders::Padded if [rows, columns] == [height, width] => (skip, x),
            Borders::Padded => (skip, x.pad([(0, height - rows), (0, width - columns)], 0.0)),
        };
        self.conv.forward(cat_channels(vec![skip, x]))
    }
}

/// Images continued by their mirror image: 92 pixels beyond their upper and left borders, and so far beyond the others that
/// the network gives their size at least.
fn mirrored(images: Tensor<4>) -> Tensor<4> {
    let [.., height, width] = images.dims();
    let device = images.device();
    let places = |side: usize| {
        let taken = 16 * (side + 60).div_ceil(16) + 124;
        let period = 2 * (side as i64 - 1).max(1);
        let places = (0..taken as i64).map(|place| (place - 92).rem_euclid(period));
        let places: Vec<i64> = places.map(|place| place.min(period - place).min(side as i64 - 1)).collect();
        Tensor::<1, Int>::from_ints(places.as_slice(), &device)
    };
    images.select(2, places(height)).select(3, places(width))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use kiln_core::learnable_parameters;

    use super::*;

    fn padded_form(num_classes: usize) -> UNetConfig {
        UNetConfig {
            borders: Borders::Padded,
            batch_norm: true,
            dropout: 0.0,
            ..UNetConfig::new(num_classes)
        }
    }

    #[test]
    fn parameters_are_those_of_figure_1_and_of_pytorch_unet() {
        let device = Device::flex();
        // Two 3x3 convolutions a level, down and up again, what enlarges, the scores: with biases.
        let double = |from: usize, to: usize| to * (9 * from + 1) + to * (9 * to + 1);
        let down: usize =
            [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)].map(|(a, b)| double(a, b)).iter().sum();
        let up = [1024, 512, 256, 128].map(|from| from / 2 * (4 * from + 1) + double(from, from / 2));
        let all = down + up.iter().sum::<usize>() + 21 * (64 + 1);
        assert_eq!(all, 31_033_045);
        assert_eq!(learnable_parameters(&UNetConfig::new(21).init(&device)), 31_033_045);
        // milesial/Pytorch-UNet, `UNet(n_channels=3, n_classes=2)`.
        assert_eq!(learnable_parameters(&padded_form(2).init(&device)), 31_037_698);
    }

    #[test]
    fn without_padding_572_pixels_come_to_388() {
        let device = Device::flex();
        let network = UNetConfig { width: 1, ..UNetConfig::new(2) }.init(&device);
        assert_eq!(network.levels(Tensor::zeros([1, 3, 572, 572], &device)).dims(), [1, 2, 388, 388]);
        // The smallest: 140 -> 136 | 68 -> 64 | 32 -> 28 | 14 -> 10 | 5 -> 1 | 2, and no pixel of it is left; 188 leave 4.
        assert_eq!(network.levels(Tensor::zeros([1, 3, 188, 204], &device)).dims(), [1, 2, 4, 20]);
    }

    #[test]
    fn every_pixel_gets_a_label_with_either_border() {
        let device = Device::flex();
        let rows: [(_, &[[usize; 2]]); 2] = [
            (UNetConfig { width: 1, ..UNetConfig::new(3) }, &[[1, 1], [4, 5], [37, 64], [101, 20]]),
            (UNetConfig { width: 2, ..padded_form(3) }, &[[16, 16], [17, 31], [64, 47], [101, 99]]),
        ];
        for (config, sizes) in rows {
            let network = config.init(&device);
            for &[height, width] in sizes {
                let logits = network.forward(Tensor::zeros([2, 3, height, width], &device)).main;
                assert_eq!(logits.dims(), [2, 3, height, width], "{config:?}");
            }
        }
    }

    #[test]
    fn images_are_continued_by_their_mirror_image() {
        let device = Device::flex();
        let row = Tensor::<1>::from_floats([0., 1., 2., 3., 4., 5.], &device);
        let x = mirrored(row.reshape([1, 1, 1, 6]).expand([1, 3, 6, 6]));
        // 6 pixels are of 16 * 5 - 60 = 20, which are of 16 * 5 + 124.
        assert_eq!(x.dims(), [1, 3, 204, 204]);
        let row: Vec<f32> = x.narrow(2, 3, 1).narrow(1, 0, 1).flatten::<1>(0, 3).into_data().iter().collect();
        assert_eq!(
            row[84..104],
            [2., 3., 4., 5., 4., 3., 2., 1., 0., 1., 2., 3., 4., 5., 4., 3., 2., 1., 0., 1.]
        );
    }

    /// The overlap-tile strategy of Figure 2: a label depends on the pixels within 92 of it alone, so that tiles of an image
    /// have the labels of the whole.
    #[test]
    fn tiles_have_the_labels_of_the_whole() {
        let device = Device::flex();
        device.seed(3);
        let network = UNetConfig { width: 2, ..UNetConfig::new(2) }.init(&device);
        let images = Tensor::random([1, 3, 236, 220], Distribution::Normal(0.0, 1.0), &device);
        let whole = network.levels(images.clone());
        assert_eq!(whole.dims(), [1, 2, 52, 36]);
        let tile = network.levels(images.narrow(2, 32, 204).narrow(3, 16, 204));
        let off = (tile - whole.narrow(2, 32, 20).narrow(3, 16, 20)).abs().max().into_scalar::<f32>();
        assert!(off < 1e-5, "{off}");
    }
}
