//! safetensors files, written here by hand.

#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use kiln_zoo::{Interpolation, StateDict, WeightFile};

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn read(header: &str, data: &[u8]) -> kiln_core::Result<StateDict> {
    WeightFile::new(Cursor::new(file(header, data))).and_then(StateDict::of)
}

#[test]
fn every_float_becomes_32_bits_and_integers_are_left_out() {
    let header = r#"{"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"h":{"dtype":"F16","shape":[1,1],"data_offsets":[2,4]},
        "d":{"dtype":"F64","shape":[],"data_offsets":[4,12]},"f":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},
        "i":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[24,24]}}"#;
    let mut data = [0xC0, 0x3F, 0x00, 0x3E].to_vec();
    data.extend(1.5f64.to_le_bytes());
    data.extend(1.5f32.to_le_bytes());
    data.extend([0; 8]);
    let dict = read(header, &data).unwrap();
    assert!(dict.tensors.keys().eq(["b", "d", "e", "f", "h"]));
    assert_eq!(dict.tensors["h"], (vec![1, 1], vec![1.5]));
    assert_eq!(dict.tensors["d"], (vec![], vec![1.5]));
    assert_eq!(dict.tensors["e"], (vec![0, 3], vec![]));
    assert!(["b", "f"].iter().all(|name| dict.tensors[*name] == (vec![1], vec![1.5])));
}

#[test]
fn metadata_of_older_files_is_read() {
    let header = r#"{"__metadata__":{"kiln":"{\"resize\":256,\"size\":224,\"mean\":[0,0,0],\"std\":[1,1,1],\"classes\":[\"cat\"]}"},
        "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
    let preprocessing = read(header, &[0; 4]).unwrap().preprocessing.unwrap();
    assert_eq!((preprocessing.resize, preprocessing.interpolation), (256, Interpolation::Bilinear));
    assert_eq!(preprocessing.classes, ["cat"]);
    let bicubic =
        read(&header.replacen(r#"{\"resize"#, r#"{\"interpolation\":\"bicubic\",\"resize"#, 1), &[0; 4]);
    assert_eq!(bicubic.unwrap().preprocessing.unwrap().interpolation, Interpolation::Bicubic);
    let line = read(&header.replace("resize", "rezise"), &[0; 4]).unwrap_err().to_string();
    assert!(line.starts_with("its metadata `kiln`: missing field `resize`"), "{line}");
}

#[test]
fn damaged_headers_are_refused_with_the_tensor_and_what_was_expected() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a.w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    let rows = [
        (
            one("F32", "[2]", "[0,8]"),
            "`a.w`: its bytes are said to be 0 to 8; they must begin at 0 and end by 4",
        ),
        (one("F32", "[2]", "[0,4]"), "`a.w`: the shape [2] of F32 takes 8 bytes, but 4 are there"),
        (one("F16", "[1]", "[0,4]"), "`a.w`: the shape [1] of F16 takes 2 bytes, but 4 are there"),
        (one("F32", "[0]", "[0,0]"), "its tensors take 0 bytes, but 4 are there"),
        (one("F32", "[4294967296,4294967296]", "[0,4]"), "`a.w`: a tensor cannot have the shape"),
        (one("F32", "[-1]", "[0,4]"), "its header: `a.w`: invalid value: integer `-1`"),
        (one("F8_E4M3", "[4]", "[0,4]"), "its header: `a.w`: unknown variant `F8_E4M3`"),
        ("{\"a.w\":".to_string(), "its header: `a.w`: EOF while parsing"),
        (twice.to_string(), "`a`: the name stands twice"),
    ];
    for (header, expected) in rows {
        let data = if header == twice { 8 } else { 4 };
        let line = read(&header, &vec![0; data]).unwrap_err().to_string();
        assert!(line.starts_with(expected), "{line}\nlacks {expected}");
    }
}

#[test]
fn a_file_that_is_no_weight_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows: [(&str, &[u8], &str); 8] = [
        ("empty.pt", b"", "an empty file"),
        ("text.pth", b"not weights at all, but long enough to be read as a header", "of an unknown kind"),
        (
            "cut.safetensors",
            b"\xff\x00\x00\x00\x00\x00\x00\x00{\"a\":",
            "said to have 255 bytes, the file has 13",
        ),
        ("huge.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "said to have 9223372036854775807 bytes"),
        ("page.pth", b"<!DOCTYPE html>", "a web page"),
        ("pointer.pt", b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        ("cut.pt", b"PK\x03\x04\0\0\0\0\0\0", "a zip archive that cannot be read"),
        ("plain.pkl", b"\x80\x04K\x01.", "a bare pickle"),
    ];
    for (name, bytes, expected) in rows {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let line = StateDict::read(&file).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{}: ", file.display())) && line.contains(expected), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let line = StateDict::read(&folder.path().join("absent.pt")).unwrap_err().to_string();
    assert!(line.ends_with("no such file or folder"), "{line}");
}
