//! Optimizers that PyTorch does not have, beside their papers' equations in plain 64-bit arithmetic.

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::{DType, TensorData};
use kiln_train::OptimizerConfig;
use serde_json::{Value, json};

/// A weight and a bias.
#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

const WEIGHT: [f64; 4] = [0.5, -1.0, 2.0, -0.25];
const BIAS: [f64; 2] = [0.0, 1.5];
const STEPS: usize = 30;

/// The gradient of value `i` in step `t`.
fn gradient(i: usize, x: f64, t: usize) -> f64 {
    (1.0 + i as f64 + 0.7 * t as f64).sin() + 0.05 * x
}

/// Weight and bias after each step, in 64-bit; `rate` is that of a step.
fn ours(config: Value, rate: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
    let mut optimizer = config.init().expect("sane options");
    let data = |values: &[f64]| TensorData::new(values.to_vec(), [values.len()]);
    let tensor = |values: &[f64], device: &Device| Tensor::<1>::from_data(data(values), (device, DType::F64));
    let device = Device::flex().autodiff();
    let mut layer = Layer {
        weight: Param::from_tensor(tensor(&WEIGHT, &device).reshape([2, 2])),
        bias: Param::from_tensor(tensor(&BIAS, &device)),
    };
    let values = |layer: &Layer| -> Vec<f64> {
        let parts = [layer.weight.val().into_data(), layer.bias.val().into_data()];
        parts.iter().flat_map(|part| part.iter::<f64>().collect::<Vec<_>>()).collect()
    };
    let rows = (0..STEPS).map(|t| {
        let g: Vec<f64> = values(&layer).iter().enumerate().map(|(i, x)| gradient(i, *x, t)).collect();
        let mut gradients = GradientsParams::new();
        gradients.register(layer.weight.id, tensor(&g[..4], &Device::flex()).reshape([2, 2]));
        gradients.register(layer.bias.id, tensor(&g[4..], &Device::flex()));
        layer = optimizer.step(rate(t), layer.clone(), gradients);
        values(&layer)
    });
    rows.collect()
}

/// Runs `step(first value's place, x, g, t)` on the weight and on the bias, each a layer of its own.
fn by_layer(mut step: impl FnMut(usize, &mut [f64], &[f64], usize)) -> Vec<Vec<f64>> {
    let mut x = [WEIGHT.to_vec(), BIAS.to_vec()].concat();
    let rows = (0..STEPS).map(|t| {
        let g: Vec<f64> = x.iter().enumerate().map(|(i, x)| gradient(i, *x, t)).collect();
        let (weight, bias) = x.split_at_mut(4);
        step(0, weight, &g[..4], t);
        step(4, bias, &g[4..], t);
        x.clone()
    });
    rows.collect()
}

fn agree(ours: &[Vec<f64>], papers: &[Vec<f64>]) {
    for (step, (ours, papers)) in ours.iter().zip(papers).enumerate() {
        for (x, y) in ours.iter().zip(papers) {
            assert!((x - y).abs() <= 1e-10 * y.abs().max(0.1), "step {step}: {x}, the paper has {y}");
        }
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn lars_is_algorithm_1_of_you_et_al_2017() {
    // v = m v + γ λ (g + β w), λ = η |w| / (|g| + β |w|); w = w - v. The bias: plain, without decay.
    let (rate, trust, momentum, decay) = (2.0, 0.02, 0.9, 1e-2);
    let mut v = [0.0; 6];
    let papers = by_layer(|first, x, g, _| {
        let decay = if first == 0 { decay } else { 0.0 };
        let local = if first == 0 { trust * norm(x) / (norm(g) + decay * norm(x)) } else { 1.0 };
        for i in 0..x.len() {
            v[first + i] = momentum * v[first + i] + rate * local * (g[i] + decay * x[i]);
            x[i] -= v[first + i];
        }
    });
    let config = json!({"name": "lars", "trust": trust, "momentum": momentum, "weight_decay": decay});
    agree(&ours(config.clone(), |_| rate), &papers);

    // By hand, the first step of the weight: |w| = sqrt(0.25 + 1 + 4 + 0.0625) = 2.304886; its gradient is sin 1 + 0.025,
    // sin 2 - 0.05, sin 3 + 0.1, sin 4 - 0.0125 = 0.866471, 0.859297, 0.241120, -0.769303, of length 1.462576.
    // 2 * 0.02 * 2.304886 / (1.462576 + 0.02304886) * (0.866471 + 0.005) = 0.054082.
    assert!((papers[0][0] - (0.5 - 0.054082)).abs() < 2e-6, "{}", papers[0][0]);

    // A bias that is to be treated alike: 0 and 1.5 have a length.
    let mut alike = config;
    alike["decay_norms_and_biases"] = true.into();
    let mut v = [0.0; 6];
    let papers = by_layer(|first, x, g, _| {
        let local = trust * norm(x) / (norm(g) + decay * norm(x));
        for i in 0..x.len() {
            v[first + i] = momentum * v[first + i] + rate * local * (g[i] + decay * x[i]);
            x[i] -= v[first + i];
        }
    });
    agree(&ours(alike, |_| rate), &papers);
}

#[test]
fn lamb_is_algorithm_2_of_you_et_al_2020() {
    // m, v as Adam's and corrected; r = m / (sqrt v + ε); x = x - η |x| / |r + λ x| (r + λ x). The bias: Adam.
    let (rate, betas, eps, decay) = (0.05, [0.9, 0.999], 1e-6, 0.1);
    let (mut m, mut v) = ([0.0; 6], [0.0; 6]);
    let papers = by_layer(|first, x, g, t| {
        let decay = if first == 0 { decay } else { 0.0 };
        let mut along = vec![0.0; x.len()];
        for i in 0..x.len() {
            let (m, v) = (&mut m[first + i], &mut v[first + i]);
            *m = betas[0] * *m + (1.0 - betas[0]) * g[i];
            *v = betas[1] * *v + (1.0 - betas[1]) * g[i] * g[i];
            let corrected =
                [*m / (1.0 - betas[0].powi(t as i32 + 1)), *v / (1.0 - betas[1].powi(t as i32 + 1))];
            along[i] = corrected[0] / (corrected[1].sqrt() + eps) + decay * x[i];
        }
        let local = if first == 0 { norm(x) / norm(&along) } else { 1.0 };
        x.iter_mut().zip(&along).for_each(|(x, along)| *x -= rate * local * along);
    });
    agree(&ours(json!({"name": "lamb", "weight_decay": decay}), |_| rate), &papers);
}

#[test]
fn lion_is_algorithm_2_of_chen_et_al_2023() {
    // c = β1 m + (1 - β1) g; x = x - η (sign c + λ x); m = β2 m + (1 - β2) g.
    let (rate, betas, decay) = (0.05, [0.9, 0.99], 0.2);
    let mut m = [0.0; 6];
    let papers = by_layer(|first, x, g, _| {
        let decay = if first == 0 { decay } else { 0.0 };
        for i in 0..x.len() {
            let m = &mut m[first + i];
            let c = betas[0] * *m + (1.0 - betas[0]) * g[i];
            x[i] -= rate * (c.signum() + decay * x[i]);
            *m = betas[1] * *m + (1.0 - betas[1]) * g[i];
        }
    });
    agree(&ours(json!({"name": "lion", "weight_decay": decay}), |_| rate), &papers);
}

/// Algorithm 1 of Keskar and Socher (2017) on all six values as one vector; the step it switches after, and the values.
fn swats(tolerance: f64, rate: impl Fn(usize) -> f64) -> (Option<usize>, Vec<Vec<f64>>) {
    let (betas, eps) = ([0.9, 0.999], 1e-9);
    let mut w = [WEIGHT.to_vec(), BIAS.to_vec()].concat();
    let (mut m, mut a, mut v) = ([0.0; 6], [0.0; 6], [0.0; 6]);
    let (mut lambda, mut switched, mut sgd) = (0.0, None, 0.0);
    let rows = (1..=STEPS).map(|k| {
        let g: Vec<f64> = w.iter().enumerate().map(|(i, x)| gradient(i, *x, k - 1)).collect();
        if let Some(at) = switched {
            for i in 0..6 {
                v[i] = betas[0] * v[i] + g[i];
                // The schedule goes on: Λ in the proportion of the rates.
                w[i] -= (1.0 - betas[0]) * sgd * rate(k - 1) / rate(at - 1) * v[i];
            }
            return w.clone();
        }
        let correction = betas.map(|beta| 1.0 - f64::powi(beta, k as i32));
        let (mut pp, mut pg) = (0.0, 0.0);
        for i in 0..6 {
            m[i] = betas[0] * m[i] + (1.0 - betas[0]) * g[i];
            a[i] = betas[1] * a[i] + (1.0 - betas[1]) * g[i] * g[i];
            let p = -rate(k - 1) * correction[1].sqrt() / correction[0] * m[i] / (a[i].sqrt() + eps);
            w[i] += p;
            pp += p * p;
            pg += p * g[i];
        }
        if pg != 0.0 {
            let gamma = pp / -pg;
            lambda = betas[1] * lambda + (1.0 - betas[1]) * gamma;
            let average: f64 = lambda / correction[1];
            if k > 1 && (average - gamma).abs() < tolerance && average > 0.0 {
                (switched, sgd) = (Some(k), average);
            }
        }
        w.clone()
    });
    let rows = rows.collect();
    (switched, rows)
}

#[test]
fn swats_is_algorithm_1_of_keskar_and_socher_2017() {
    let level = |_: usize| 0.01;
    let falling = |t: usize| if t < 20 { 0.01 } else { 0.001 };
    let cases: [(f64, &dyn Fn(usize) -> f64); 3] = [(1e-9, &level), (1e-3, &level), (1e-3, &falling)];
    let mut switches = Vec::new();
    for (tolerance, rate) in cases {
        let (switched, papers) = swats(tolerance, rate);
        switches.push(switched);
        agree(&ours(json!({"name": "swats", "tolerance": tolerance}), rate), &papers);
    }
    // The first stays Adam; the others have steps of both kinds, and one a fall of the rate after the switch.
    assert_eq!(switches, [None, Some(3), Some(3)]);
    // Until it switches it is Adam.
    let adam = ours(json!({"name": "adam", "eps": 1e-12}), level);
    agree(&ours(json!({"name": "swats", "eps": 1e-12}), level), &adam);
}
