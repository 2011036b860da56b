//! Operators on images against worked numbers and OpenCV.

#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use burn::tensor::Tolerance;
use kiln_nn::{Border, Difference, Neighbours, grey, image_gradients, laplacian};

fn near(ours: Tensor<4>, expected: &[f32]) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-6, 1e-5));
}

#[test]
fn a_patch_of_one_to_nine_has_the_worked_gradients() {
    let device = Device::flex();
    let patch = Tensor::<1, Int>::arange(1..10, &device).float().reshape([1, 1, 3, 3]);
    // (3 + 2 * 6 + 9) - (1 + 2 * 4 + 7) = 8; (7 + 2 * 8 + 9) - (1 + 2 * 2 + 3) = 24; sqrt(8^2 + 24^2).
    let found = image_gradients(patch, Difference::Sobel, Border::Valid);
    near(found.x.clone(), &[8.0]);
    near(found.y.clone(), &[24.0]);
    near(found.magnitude(), &[25.298_221]);
    near(found.magnitude_l1(), &[32.0]);
    // atan2(24, 8) = atan(3)
    near(found.direction(), &[1.249_045_8]);
}

#[test]
fn vertical_edges_are_found_along_x_and_horizontal_ones_along_y() {
    let device = Device::flex();
    let steps = Tensor::<4>::from_data([[[[0.0, 0.0, 1.0, 1.0]; 4]]], &device);
    let found = image_gradients(steps.clone(), Difference::Sobel, Border::Reflect);
    near(found.x, &[0.0, 4.0, 4.0, 0.0].repeat(4));
    near(found.y, &[0.0; 16]);
    let found = image_gradients(steps.swap_dims(2, 3), Difference::Sobel, Border::Reflect);
    near(found.x, &[0.0; 16]);
    near(found.y, &[[0.0; 4], [4.0; 4], [4.0; 4], [0.0; 4]].concat());
}

#[test]
fn nothing_changes_in_a_flat_image_unless_zeros_stand_around_it() {
    let flat = Tensor::<4>::ones([1, 2, 4, 5], &Device::flex());
    for difference in [Difference::Sobel, Difference::Scharr, Difference::Prewitt] {
        for border in [Border::Valid, Border::Replicate, Border::Reflect] {
            let found = image_gradients(flat.clone(), difference, border);
            assert_eq!(found.magnitude().max().into_scalar::<f32>(), 0.0, "{difference:?}, {border:?}");
        }
        let found = image_gradients(flat.clone(), difference, Border::Zeros).magnitude();
        assert!(found.max().into_scalar::<f32>() > 1.0, "{difference:?}");
    }
}

#[test]
fn a_ramp_of_slope_one_reads_as_its_gain() {
    let ramp =
        Tensor::<1, Int>::arange(0..6, &Device::flex()).float().reshape([1, 1, 1, 6]).expand([1, 1, 5, 6]);
    for (difference, gain) in
        [(Difference::Sobel, 8.0), (Difference::Scharr, 32.0), (Difference::Prewitt, 6.0)]
    {
        assert_eq!(difference.gain(), gain);
        let found = image_gradients(ramp.clone(), difference, Border::Valid);
        near(found.x / gain, &[1.0; 12]);
        near(found.y, &[0.0; 12]);
    }
}

#[test]
#[rustfmt::skip]
fn every_border_is_opencvs() {
    let image = Tensor::<4>::from_data([[[
        [0., 3., 12., 10., 14.], [7., 15., 12., 15., 7.], [11., 7., 9., 0., 14.], [12., 13., 3., 16., 1.],
    ]]], &Device::flex());
    // cv2 4.x: Sobel(image, CV_64F, 1, 0, ksize=3), (…, 0, 1), Scharr likewise, Laplacian(…, ksize=1), with BORDER_REFLECT_101,
    // BORDER_REPLICATE and BORDER_CONSTANT.
    type Row = (Border, [[f32; 20]; 5]);
    let rows: [Row; 3] = [
        (Border::Reflect, [
            [0., 34., 14., -6., 0., 0., 20., 0., -3., 0., 0., -8., -11., 3., 0., 0., -22., -8., 6., 0.],
            [0., 0., 0., 0., 0., 30., 16., -12., -23., -20., 6., -8., -19., -13., -10., 0., 0., 0., 0., 0.],
            [0., 150., 70., -10., 0., 0., 80., 0., -29., 0., 0., -32., -61., 29., 0., 0., -102., -12., 10., 0.],
            [0., 0., 0., 0., 0., 134., 64., -48., -109., -60., 38., -32., -93., -35., -54., 0., 0., 0., 0., 0.],
            [20., 30., -11., 16., -22., 13., -31., 3., -31., 30., -11., 20., -14., 54., -48., 0., -23., 35., -60., 56.],
        ]),
        (Border::Replicate, [
            [17., 41., 21., 1., 4., 15., 20., 0., -3., 2., 1., -8., -11., 3., 5., -1., -29., 2., -1., -31.],
            [33., 31., 17., 3., -16., 37., 16., -12., -23., -10., 13., -8., -19., -13., -17., 9., 7., 10., 13., -23.],
            [63., 171., 91., 11., 28., 77., 80., 0., -29., -26., -13., -32., -61., 29., 71., 1., -123., 18., -11., -153.],
            [127., 141., 51., 29., -76., 155., 64., -48., -109., -30., 59., -32., -93., -35., -75., 31., 45., 6., 103., -121.],
            [10., 18., -11., 11., -11., 5., -31., 3., -31., 22., -7., 20., -14., 54., -34., 0., -17., 29., -44., 28.],
        ]),
        (Border::Zeros, [
            [21., 29., 14., -1., -35., 40., 20., 0., -3., -40., 42., -8., -11., 3., -31., 33., -20., -1., 1., -32.],
            [29., 49., 54., 49., 29., 26., 16., -12., -23., -10., 8., -8., -19., -13., -11., -29., -34., -25., -23., -28.],
            [75., 135., 70., 5., -145., 180., 80., 0., -29., -180., 154., -32., -61., 29., -93., 151., -96., 9., -5., -160.],
            [115., 207., 210., 207., 115., 122., 64., -48., -109., -30., 44., -32., -93., -35., -57., -131., -130., -111., -69., -140.],
            [10., 15., -23., 1., -39., -2., -31., 3., -31., 15., -18., 20., -14., 54., -48., -24., -30., 26., -60., 26.],
        ]),
    ];
    for (border, [sobel_x, sobel_y, scharr_x, scharr_y, second]) in rows {
        let sobel = image_gradients(image.clone(), Difference::Sobel, border);
        let scharr = image_gradients(image.clone(), Difference::Scharr, border);
        near(sobel.x, &sobel_x);
        near(sobel.y, &sobel_y);
        near(scharr.x, &scharr_x);
        near(scharr.y, &scharr_y);
        near(laplacian(image.clone(), Neighbours::Four, border), &second);
    }
    // By hand: the eight neighbours of the 15 in the second row, less eight times it.
    let sum = 0. + 3. + 12. + 7. + 12. + 11. + 7. + 9. - 8. * 15.;
    let eight = laplacian(image, Neighbours::Eight, Border::Valid);
    near(eight.narrow(2, 0, 1).narrow(3, 0, 1), &[sum]);
}

#[test]
fn grey_has_the_broadcast_weights() {
    let images = Tensor::<4>::from_data(
        [[[[1.0, 0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]]],
        &Device::flex(),
    );
    near(grey(images), &[0.299, 0.587, 0.114, 1.0]);
}

#[test]
fn the_magnitude_has_a_gradient_where_nothing_changes() {
    let images = Tensor::<4>::ones([1, 1, 4, 4], &Device::flex().autodiff()).require_grad();
    let found = image_gradients(images.clone(), Difference::Sobel, Border::Reflect).magnitude();
    let gradient = images.grad(&found.sum().backward()).unwrap();
    assert!(gradient.into_data().iter::<f32>().all(|one| one == 0.0));
}
