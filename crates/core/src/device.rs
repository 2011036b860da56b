//! A device by its name, as `--device` takes it.

use std::panic::UnwindSafe;

use burn::prelude::*;

use crate::{Error, Result, caught, nearest};

/// Every device name Kiln knows, the Cargo feature that brings it, and whether this build has it.
const KNOWN: [(&str, bool); 9] = [
    ("flex", true),
    ("ndarray", cfg!(feature = "ndarray")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("webgpu", cfg!(feature = "webgpu")),
    ("cuda", cfg!(feature = "cuda")),
    ("rocm", cfg!(feature = "rocm")),
    ("tch", cfg!(feature = "tch")),
];

/// The devices that this build has.
pub fn devices_compiled_in() -> Vec<&'static str> {
    KNOWN.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect()
}

/// The device of a name: `flex` (the CPU), `ndarray`, `wgpu`, `wgpu:0`, `wgpu:cpu`, `cuda:0` …
///
/// # Errors
/// A name that nobody knows, one that this build lacks, an index that is no number, a device that is not there.
pub fn device(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        None => (name, None),
        Some((kind, index)) => (kind, Some(index)),
    };
    let names = || KNOWN.iter().map(|(name, _)| *name);
    match KNOWN.iter().find(|(known, _)| *known == kind) {
        None => Err(Error::input(format!("unknown device `{kind}`")).hint(match nearest(kind, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("devices are {}", names().collect::<Vec<_>>().join(", ")),
        })),
        Some((_, false)) => Err(Error::input(format!("this build has no device `{kind}`")).hint(format!(
            "build with `cargo xtask --features {kind} …` (or `cargo build --release -p kiln --features {kind}`); compiled in: {}",
            devices_compiled_in().join(", ")
        ))),
        Some(_) => opened(name, || open(kind, index)),
    }
}

/// Burn panics where a device cannot be had, often in a thread of its own.
fn opened(name: &str, open: impl FnOnce() -> Result<Device> + UnwindSafe) -> Result<Device> {
    caught(open).unwrap_or_else(|said| {
        Err(Error::input(format!("device `{name}` is not there: {said}")).hint("use `--device flex`"))
    })
}

fn open(kind: &str, index: Option<&str>) -> Result<Device> {
    let number = || match index {
        None => Ok(None),
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
            Error::input(format!("`{text}` is no device index"))
                .hint(format!("write `{kind}:0`, or `{kind}` alone"))
        }),
    };
    match kind {
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)]
        // Burn 0.23 drops ndarray; until then it is the second opinion of `flex`.
        "ndarray" => no_index(kind, index).map(|()| Device::ndarray()),
        #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "webgpu"))]
        "wgpu" | "vulkan" | "metal" | "webgpu" => {
            use burn::tensor::DeviceKind;
            let which = match index {
                Some("cpu") => DeviceKind::Cpu,
                _ => number()?.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu),
            };
            let device = match kind {
                #[cfg(feature = "vulkan")]
                "vulkan" => Device::vulkan(which),
                #[cfg(feature = "metal")]
                "metal" => Device::metal(which),
                #[cfg(feature = "webgpu")]
                "webgpu" => Device::webgpu(which),
                #[cfg(feature = "wgpu")]
                "wgpu" => Device::wgpu(which),
                other => unreachable!("`{other}` is not compiled in"),
            };
            Ok(woken(device))
        }
        #[cfg(feature = "cuda")]
        "cuda" => Ok(woken(Device::cuda(number()?.unwrap_or(0)))),
        #[cfg(feature = "rocm")]
        "rocm" => Ok(woken(Device::rocm(number()?.unwrap_or(0)))),
        #[cfg(feature = "tch")]
        #[allow(deprecated)] // As ndarray.
        "tch" => number().map(|index| index.map_or_else(Device::libtorch, Device::libtorch_cuda)),
        _ => {
            number()?;
            no_index(kind, index).map(|()| Device::flex())
        }
    }
}

fn no_index(kind: &str, index: Option<&str>) -> Result<()> {
    match index {
        None => Ok(()),
        Some(_) => {
            Err(Error::input(format!("device `{kind}` takes no index")).hint(format!("write `{kind}`")))
        }
    }
}

/// Burn opens a GPU at the first tensor; here is where its absence is to be found out.
#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "webgpu",
    feature = "cuda",
    feature = "rocm"
))]
fn woken(device: Device) -> Device {
    let _ = Tensor::<1>::zeros([1], &device).into_data();
    device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_is_always_there() {
        assert_eq!(device("flex").expect("the default device"), Device::flex());
    }

    #[test]
    fn a_device_that_cannot_be_had_says_what_to_do() {
        let says = |name: &str| device(name).expect_err("no such device").to_string();
        assert_eq!(says("flx"), "unknown device `flx`; did you mean `flex`?");
        assert_eq!(says("flex:1"), "device `flex` takes no index; write `flex`");
        if !cfg!(feature = "cuda") {
            assert!(says("cuda:0").contains("cargo build --release -p kiln --features cuda"));
        }
    }
}
