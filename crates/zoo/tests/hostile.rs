//! Files made to hurt: each is megabytes of what costs a reader most. They end in one line, within the bounds of the fuzzer.

#[path = "../examples/fuzz/check.rs"]
mod check;

use check::check;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MEGABYTES: usize = 2 << 20;

/// A legacy file whose fourth pickle, the state dict's, is this.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02"
            .to_vec();
    file.extend_from_slice(pickle);
    file
}

fn filled(start: &[u8], part: &[u8]) -> Vec<u8> {
    [start, &part.repeat(MEGABYTES / part.len())].concat()
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// `N` times a `"name":value` with another name each.
fn entries(value: &str) -> String {
    let entries: Vec<String> =
        (0..MEGABYTES / (value.len() + 9)).map(|i| format!(r#""{i:06}":{value}"#)).collect();
    format!("{{{}}}", entries.join(","))
}

/// A tensor on a storage of four floats, with these instructions for shape and strides.
fn tensor(shape_and_strides: &[u8]) -> Vec<u8> {
    let head = b"}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n";
    let rest = b"X\x01\0\0\0kX\x03\0\0\0cpuK\x04NtQK\0";
    let end = b"\x89}tRs.\x80\x02](X\x01\0\0\0ke.\x04\0\0\0\0\0\0\0abcdabcdabcdabcd";
    legacy(&[&head[..], rest, shape_and_strides, end].concat())
}

/// A zip archive of many empty files, whose directory's end says these counts and sizes in 64 bits.
fn zip(files: u64, [count, size, place]: [u64; 3]) -> Vec<u8> {
    // A file's entry: version, flags, method, time, date, checksum, two sizes, the name's length.
    let fields = [&[20][..], &[0; 21], &[6, 0, 0, 0]].concat();
    let mut bytes = [b"PK\x03\x04", &fields[..], b"000000"].concat();
    for file in 0..files {
        bytes.extend(b"PK\x01\x02\x14\0");
        bytes.extend(&fields);
        bytes.extend([0; 14]);
        bytes.extend(format!("{file:06}").as_bytes());
    }
    let end = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x14\0\x14\0\0\0\0\0\0\0\0\0");
    [count, count, size, place].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(end.to_le_bytes());
    bytes.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    bytes.extend([0xff; 12]);
    bytes.extend([0; 2]);
    bytes
}

/// An object with these attributes, which begins `}`; it is kept as value 9.
fn object(attributes: &[u8]) -> Vec<u8> {
    [b"cm\nM\n)\x81q\x09", attributes, b"b"].concat()
}

/// The attributes of a module without tensors whose modules are these.
fn attributes(modules: &[u8]) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    [b"}", &text("_parameters")[..], b"}s", &text("_buffers"), b"}s", &text("_modules"), modules, b"s"]
        .concat()
}

#[test]
fn files_that_ask_for_too_much_are_refused_in_one_line() {
    let nested: Vec<u8> = (0..40u8)
        // Each dictionary holds the one before it twice.
        .flat_map(|i| [b"}q", &[i + 1][..], b"K\0h", &[i], b"sK\x01h", &[i], b"s"].concat())
        .collect();
    let doubled = (0..40u8).fold(object(&attributes(b"}")), |inner, index| {
        // Each module holds the one before it twice.
        let twice = [b"}K\0", &inner[..], &[b'q', 20 + index], b"sK\x01h", &[20 + index], b"s"].concat();
        object(&attributes(&twice))
    });
    let long_name = [b"X\0\0\x02\0", &b"abcd".repeat(0x8000)[..], b"q\0"].concat();
    let shape = |side: &[u8]| [b"(", side, side, b"t(K\0K\0t"].concat();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("lists", legacy(&filled(b"", b"]0")), "times the file's size"),
        ("dictionaries", legacy(&filled(b"", b"}0")), "times the file's size"),
        ("memo", legacy(&filled(b"N", b"\x94")), "times the file's size"),
        ("one far memo", legacy(b"Nr\xff\xff\xff\xff."), "times the file's size"),
        ("texts", legacy(&filled(b"", b"X\x01\0\0\0a0")), "ends too early"),
        ("bytes that are no text", legacy(&filled(b"", b"X\x04\0\0\0\xff\xff\xff\xff0")), "ends too early"),
        ("long text", legacy(b"X\xff\xff\xff\xffab"), "times the file's size"),
        ("classes", legacy(&filled(b"", b"ca\nb\n0")), "ends too early"),
        ("classes of long names", legacy(&filled(&long_name, b"h\0h\0\x930")), "times the file's size"),
        ("stack", legacy(&filled(b"", b"N")), "wait on the stack"),
        ("marks", legacy(&filled(b"", b"(")), "wait on the stack"),
        ("deep tuple", legacy(&filled(b"N", b"\x85")), "times the file's size"),
        ("long list", legacy(&filled(b"]", b"Na")), "times the file's size"),
        ("large dictionary", legacy(&filled(b"}", b"NNs")), "times the file's size"),
        (
            "storages",
            legacy(&filled(b"(X\x07\0\0\0storageX\x0c\0\0\0FloatStorageK\0NK\0tq\0", b"h\0Q0")),
            "times the file's size",
        ),
        ("dictionary in itself", legacy(b"}q\0X\x01\0\0\0ah\0s.\x80\x02]."), "more than 16 dictionaries"),
        (
            "doubled dictionaries",
            legacy(&[b"}q\0", &nested[..], b".\x80\x02]."].concat()),
            "more than 16 dictionaries",
        ),
        ("objects", legacy(&filled(b"cm\nM\nq\x000", b"h\0)\x810")), "ends too early"),
        ("sets", legacy(&filled(b"", b"\x8f0")), "times the file's size"),
        (
            "module in itself",
            legacy(&[&object(&attributes(b"}X\x01\0\0\0ah\x09s"))[..], b".\x80\x02]."].concat()),
            "more than 16 dictionaries",
        ),
        ("doubled modules", legacy(&[&doubled[..], b".\x80\x02]."].concat()), "more than 16 dictionaries"),
        (
            "one state of many objects",
            legacy(
                &[
                    // Bytes that nobody keeps let the file have more memory.
                    &filled(b"B\0\0\x20\0", b"a")[..],
                    b"0}q\x05",
                    &b"NNs".repeat(MEGABYTES / 16),
                    b"0cm\nM\nq\x070}",
                    &b"K\0h\x07)\x81h\x05bs".repeat(MEGABYTES / 64),
                    b".\x80\x02].",
                ]
                .concat(),
            ),
            "times the file's size",
        ),
        (
            "one long key of many numbers",
            legacy(
                &[
                    &filled(b"X\0\0\x20\0", b"a")[..],
                    b"q\x000}",
                    &b"h\0Ns".repeat(MEGABYTES / 64),
                    b".\x80\x02].",
                ]
                .concat(),
            ),
            "times the file's size",
        ),
        ("repeated number", tensor(&shape(b"J\0\0\0\x10")), "times the file's size"),
        ("repeated number", tensor(&shape(b"J\0\x40\0\0")), "times the file's size"),
        (
            "more bytes than can be counted",
            tensor(b"(\x8a\x08\0\0\0\0\0\0\0\x40t(K\0t"),
            "cannot have the shape",
        ),
        (
            "endless",
            tensor(&[b"(", &b"J\0\0\0\x10".repeat(3)[..], b"t(K\0K\0K\0t"].concat()),
            "cannot have the shape",
        ),
        ("beyond its storage", tensor(b"(K\x05t(K\x01t"), "takes 20 bytes, but 16 are there"),
        ("far stride", tensor(b"(K\x02t(J\xff\xff\xff\x7ft"), "but 16 are there"),
        ("negative side", tensor(b"(J\xff\xff\xff\xfft(K\x01t"), "must be integers from 0 on"),
        (
            "many sides",
            tensor(&[b"(", &b"K\x01".repeat(65)[..], b"t(", &b"K\x01".repeat(65)[..], b"t"].concat()),
            "65 dimensions",
        ),
        (
            "metadata",
            safetensors(&format!(r#"{{"__metadata__":{}}}"#, entries("\"\"")), &[]),
            "no floating-point",
        ),
        (
            "tensors",
            safetensors(&entries(r#"{"dtype":"F32","shape":[],"data_offsets":[0,0]}"#), &[]),
            "takes 4 bytes",
        ),
        (
            "empty tensors",
            safetensors(&entries(r#"{"dtype":"I64","shape":[0],"data_offsets":[0,0]}"#), &[]),
            "no floating-point",
        ),
        (
            "sides",
            safetensors(
                &format!(
                    r#"{{"a":{{"dtype":"F32","shape":[1{}],"data_offsets":[0,4]}}}}"#,
                    ",1".repeat(MEGABYTES / 2)
                ),
                &[0; 4],
            ),
            "dimensions",
        ),
        (
            "deep header",
            safetensors(&format!("{{\"a\":{{\"b\":{}", "[".repeat(MEGABYTES)), &[]),
            "EOF while parsing",
        ),
        (
            "long name",
            safetensors(
                &format!(
                    r#"{{"{}":{{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}}}"#,
                    "n".repeat(MEGABYTES)
                ),
                &[0; 4],
            ),
            "…",
        ),
        ("many files", zip(40_000, [40_000, 40_000 * 52, 36]), "without `data.pkl`"),
        ("more files", zip(1, [1 << 40, 52, 36]), "zip archive"),
        ("files without a directory", zip(40_000, [1 << 40, 1 << 46, 36]), "zip archive"),
        ("a directory far away", zip(1, [1 << 20, 52 << 20, 1 << 40]), "zip archive"),
    ];
    for (name, bytes, expected) in rows {
        let line = check(bytes, &MEMORY).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let line = line.unwrap_or_else(|| panic!("{name}: can be read"));
        assert!(line.contains(expected), "{name}: {line}");
    }
}
