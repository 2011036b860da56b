use super::*;

/// A network of 64x64 pixels: a convolution, a pool, a head of two anchors and three classes.
const SMALL: &str = "\
[net]
height=64
width=64
channels=3
learning_rate=0.001

# the layers
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]
filters=16
size=1
activation=linear
[yolo]
mask=0,1
anchors=10,14, 23,27, 37,58
classes=3
num=3
ignore_thresh=.7
";

#[test]
fn parameters_are_the_arithmetic_of_the_layers() {
    let cfg = Cfg::parse(SMALL).expect("a cfg");
    // 8 filters of 3 * 3 * 3 with a factor and a summand each; 16 = 2 (5 + 3) of 8 with a bias.
    assert_eq!(cfg.parameters(), 8 * (27 + 2) + 16 * (8 + 1));
    assert_eq!((cfg.size, cfg.num_classes), ([64, 64], 3));
    // For 20 classes the last layer has 2 (5 + 20) = 50 filters.
    let other = cfg.with_classes(20);
    assert_eq!((other.parameters(), other.num_classes), (8 * 29 + 50 * 9, 20));
    let Some(Layer::Head(head)) = cfg.layers.last() else { panic!("the last layer is a head") };
    assert_eq!((head.stride, &head.anchors[..]), (2, &[[10.0, 14.0], [23.0, 27.0]][..]));
}

#[test]
fn a_mistake_is_one_line_that_says_where_and_what() {
    let replaced = |from: &str, to: &str| {
        assert!(SMALL.contains(from), "{from}");
        SMALL.replacen(from, to, 1)
    };
    let before_the_head = |layers: &str| {
        replaced("[convolutional]\nfilters=16", &format!("{layers}\n[convolutional]\nfilters=16"))
    };
    let rows = [
        (String::new(), "line 1: no Darknet cfg: it does not begin with `[net]`"),
        (replaced("[net]", "[ned]"), "line 1: no Darknet cfg"),
        (replaced("[net]\n", ""), "line 1: `height` before the first section; begin with `[net]`"),
        (replaced("width=64", "width"), "line 3: `width` is neither `[section]` nor `key=value`"),
        (replaced("width=64\n", ""), "line 1: [net]: lacks `width`"),
        (replaced("width=64", "height=64"), "line 3: `height` is already on line 2"),
        (
            replaced("width=64", "width=wide"),
            "line 3: [net]: `width=wide`, where a number from 1 to 16384 is expected",
        ),
        (
            replaced("width=64", "width=63"),
            "line 22: [yolo]: 32x32 cells are no squares of whole pixels of 64x63",
        ),
        (
            replaced("channels=3", "channels=1"),
            "line 4: [net]: `channels=1` is not known here, only `channels=3`",
        ),
        (
            replaced("[maxpool]", "[maxpol]"),
            "line 15: [maxpol]: no layer that is known here; did you mean `[maxpool]`?",
        ),
        (replaced("[maxpool]", "[lstm]"), "line 15: [lstm]: no layer that is known here; layers are "),
        (replaced("filters=8\n", ""), "line 8: [convolutional]: lacks `filters`"),
        (
            replaced("filters=8", "filters=0"),
            "line 10: [convolutional]: `filters=0`, where a number from 1 to",
        ),
        (
            replaced("filters=8", "filter=8"),
            "line 10: [convolutional]: unknown key `filter`; did you mean `filters`?",
        ),
        (replaced("stride=1", "stride_x=1"), "line 12: [convolutional]: unknown key `stride_x`"),
        (
            replaced("activation=leaky", "activation=selu"),
            "line 14: [convolutional]: an activation that is not known here; known are linear",
        ),
        (
            replaced("size=3", "size=3\ngroups=2"),
            "line 12: [convolutional]: 3 channels to 8 cannot be 2 groups",
        ),
        (
            replaced("size=3", "size=3\ndilation=2"),
            "line 12: [convolutional]: `dilation=2` is not known here, only `dilation=1`",
        ),
        (
            replaced("size=2\nstride=2", "size=2\nstride=2\npadding=2"),
            "line 18: [maxpool]: must be smaller than the window, 2",
        ),
        (
            replaced("size=1\n", "size=99\n"),
            "line 20: [convolutional]: a filter of 99x99 does not fit into a map of 32x32",
        ),
        (
            before_the_head("[route]\nlayers=-1,7"),
            "line 19: [route]: `layers` names layer 7, and there are 2 before this one",
        ),
        (
            before_the_head("[route]\nlayers=-3"),
            "line 19: [route]: `layers` names layer -3, and there are 2 before",
        ),
        (
            before_the_head("[route]\nlayers=a"),
            "line 19: [route]: `layers=a`, where a list of numbers is expected",
        ),
        (before_the_head("[route]"), "line 18: [route]: lacks `layers`"),
        (
            before_the_head("[route]\nlayers=-1,0"),
            "line 19: [route]: joins maps of 32x32 and 64x64, that of layer 0",
        ),
        (before_the_head("[route]\nlayers=-1\ngroups=3"), "line 20: [route]: 8 channels cannot be 3 groups"),
        (
            before_the_head("[route]\nlayers=-1\ngroups=2\ngroup_id=2"),
            "line 21: [route]: group 2 of 2, counted from 0",
        ),
        (
            before_the_head("[shortcut]\nfrom=0"),
            "line 19: [shortcut]: adds maps of 8x32x32 and 8x64x64, that of layer 0",
        ),
        (before_the_head("[shortcut]\nfrom=-1,-2"), "line 19: [shortcut]: names several layers"),
        (
            before_the_head("[reorg]\nstride=3"),
            "line 19: [reorg]: a map of 8x32x32 has no whole windows of 3x3",
        ),
        (
            before_the_head("[reorg]\nreverse=1"),
            "line 19: [reorg]: `reverse=1` is not known here, only `reverse=0`",
        ),
        (
            before_the_head("[upsample]\nstride=1000"),
            "line 18: [upsample]: gives a map with 32000 of something, more than 16384",
        ),
        (
            replaced("filters=16", "filters=18"),
            "line 22: [yolo]: the layer before has 18 filters, where 2 anchors of 5 + 3 numbers have 16",
        ),
        (replaced("classes=3\n", ""), "line 22: [yolo]: lacks `classes`"),
        (replaced("num=3", "num=5"), "line 24: [yolo]: 6 numbers in `anchors`, where 5 have 10"),
        (replaced("37,58", "37"), "line 24: [yolo]: 5 numbers in `anchors`, where 3 have 6"),
        (replaced("mask=0,1", "mask=0,3"), "line 23: [yolo]: there are 3 anchors, from 0 on"),
        (
            replaced("num=3", "num=3\nnew_coords=1"),
            "line 27: [yolo]: `new_coords=1` is not known here, only `new_coords=0`",
        ),
        (
            replaced("[yolo]", "[dropout]\n[yolo]"),
            "line 23: [yolo]: stands behind no [convolutional], whose map it reads",
        ),
        (
            format!("{SMALL}[upsample]\n"),
            "line 28: [upsample]: takes the map of the layer before, a head, which gives none",
        ),
        (
            format!("{SMALL}[route]\nlayers=-1"),
            "line 29: [route]: `layers` names layer -1, which makes boxes",
        ),
        (format!("{SMALL}[route]\nlayers=2"), "line 29: [route]: `layers` names layer 2, which makes boxes"),
        (
            SMALL.split("[yolo]").next().expect("a part").to_string(),
            "neither a [region] nor a [yolo], so no detector",
        ),
    ];
    for (text, expected) in rows {
        let line = Cfg::parse(&text).expect_err(expected).to_string();
        assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
        assert!(!line.contains('\n'), "{line}");
    }
}
