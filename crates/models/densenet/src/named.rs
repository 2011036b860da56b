//! Modules in a row, each under a name of its own: PyTorch's `Sequential` of an `OrderedDict`.

use burn::module::{Content, Devices, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::prelude::*;

/// Modules in a row by name. A name is a part of the path of its module's weights, as a field's would be; Burn's `Vec` has
/// the index there.
#[derive(Debug, Clone)]
pub struct Named<M> {
    names: Vec<String>,
    modules: Vec<M>,
}

impl<M> Named<M> {
    /// The modules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &M> {
        self.modules.iter()
    }
}

impl<M> FromIterator<(String, M)> for Named<M> {
    fn from_iter<I: IntoIterator<Item = (String, M)>>(named: I) -> Self {
        let (names, modules) = named.into_iter().unzip();
        Self { names, modules }
    }
}

impl<M: Module> Module for Named<M> {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, module) in self.names.iter().zip(&self.modules) {
            visitor.enter_module(name, "Named");
            module.visit(visitor);
            visitor.exit_module(name, "Named");
        }
    }

    fn map<V: ModuleMapper>(self, mapper: &mut V) -> Self {
        let map = |(name, module): (String, M)| {
            mapper.enter_module(&name, "Named");
            let module = module.map(mapper);
            mapper.exit_module(&name, "Named");
            (name, module)
        };
        self.names.into_iter().zip(self.modules).map(map).collect()
    }

    // All else is the same for any name, and so `Vec`'s.

    fn collect_devices(&self, devices: Devices) -> Devices {
        self.modules.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self { names: self.names, modules: self.modules.fork(device) }
    }

    fn to_device(self, device: &Device) -> Self {
        Self { names: self.names, modules: self.modules.to_device(device) }
    }

    fn train(self) -> Self {
        Self { names: self.names, modules: self.modules.train() }
    }

    fn valid(&self) -> Self {
        Self { names: self.names.clone(), modules: self.modules.valid() }
    }

    fn materialize(self) -> Self {
        Self { names: self.names, modules: self.modules.materialize() }
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Named<M> {
    fn content(&self, content: Content) -> Option<Content> {
        let named = self.names.iter().zip(&self.modules);
        named.fold(content, |content, (name, module)| content.add(name, module)).optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Named<M> {}

#[cfg(test)]
mod tests {
    use burn::store::ModuleSnapshot;
    use kiln_nn::{BatchNorm, BatchNormConfig};

    use super::*;

    fn network(device: &Device) -> Named<Named<BatchNorm>> {
        let inner = |first, second| {
            let named = [(first, 2), (second, 3)].map(|(name, channels): (&str, _)| {
                (name.to_string(), BatchNormConfig::new(channels).init(device))
            });
            named.into_iter().collect()
        };
        [("one".to_string(), inner("a", "b")), ("two".to_string(), inner("c", "d"))].into_iter().collect()
    }

    #[test]
    fn names_are_the_weights_paths() {
        let tensors = network(&Device::flex()).collect(None, None, true);
        let paths: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let expected: Vec<_> = ["one.a", "one.b", "two.c", "two.d"]
            .iter()
            .flat_map(|name| {
                ["gamma", "beta", "running_mean", "running_var"].map(|it| format!("{name}.{it}"))
            })
            .collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_record_brings_every_weight_back() {
        let device = Device::flex();
        let mut written = network(&device);
        for (index, norm) in written.modules.iter_mut().flat_map(|inner| &mut inner.modules).enumerate() {
            norm.gamma = norm.gamma.clone().map(|gamma| gamma.add_scalar(index as f32 + 1.0));
        }
        let read = network(&device).load_record(written.clone().into_record());
        for (written, read) in written.iter().zip(read.iter()) {
            for (written, read) in written.iter().zip(read.iter()) {
                read.gamma.val().into_data().assert_eq(&written.gamma.val().into_data(), true);
            }
        }
    }

    #[test]
    fn training_and_validation_reach_every_module() {
        let network = network(&Device::flex().autodiff());
        let trains = |network: &Named<Named<BatchNorm>>| -> Vec<bool> {
            network.iter().flat_map(Named::iter).map(|norm| norm.gamma.val().device().is_autodiff()).collect()
        };
        assert_eq!(trains(&network), [true; 4]);
        assert_eq!(trains(&network.valid()), [false; 4]);
        assert_eq!(trains(&network.valid().train()), [true; 4]);
    }
}
