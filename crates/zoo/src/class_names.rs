//! What the classes of published weights are called: the lists that the data sets' manifests have, too.

const IMAGENET: &str = include_str!("../../../datasets/imagenet/classes.txt");
const CIFAR10: &str = include_str!("../../../datasets/cifar10/classes.txt");
const CIFAR100: &str = include_str!("../../../datasets/cifar100/classes.txt");
const COCO: &str = include_str!("../../../datasets/coco128/classes.txt");
const VOC: &str = include_str!("../../../datasets/voc/classes.txt");

/// The 1000 classes of ImageNet-1k in torchvision's spelling, in the order of their labels.
pub(crate) fn imagenet() -> Vec<String> {
    // In front of each name is its folder.
    IMAGENET.lines().filter_map(|line| line.split_once('\t')).map(|(_, name)| name.to_string()).collect()
}

/// The ten classes of CIFAR-10.
pub(crate) fn cifar10() -> Vec<String> {
    CIFAR10.lines().map(str::to_string).collect()
}

/// The hundred fine classes of CIFAR-100.
pub(crate) fn cifar100() -> Vec<String> {
    CIFAR100.lines().map(str::to_string).collect()
}

/// The 80 classes of COCO's boxes.
pub(crate) fn coco() -> Vec<String> {
    COCO.lines().map(str::to_string).collect()
}

/// The 20 classes of PASCAL VOC, in the order of the labels of Darknet's weights.
pub(crate) fn voc() -> Vec<String> {
    VOC.lines().map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_name_in_the_order_of_the_labels() {
        // torchvision: `ResNet18_Weights.DEFAULT.meta["categories"]`; CIFAR: `batches.meta` and `meta` of its archives.
        let rows = [
            (imagenet(), 1000, 0, "tench"),
            (imagenet(), 1000, 281, "tabby"),
            (imagenet(), 1000, 999, "toilet tissue"),
            // COCO: `categories` of instances_val2017.json by id; VOC: voc.names of Darknet.
            (coco(), 80, 0, "person"),
            (coco(), 80, 79, "toothbrush"),
            (voc(), 20, 11, "dog"),
            (cifar10(), 10, 3, "cat"),
            (cifar100(), 100, 1, "aquarium_fish"),
        ];
        for (names, count, class, name) in rows {
            assert_eq!((names.len(), names[class].as_str()), (count, name));
        }
    }
}
