//! Weight files made of random parts: most are sound, in some a size, a name or an instruction is wrong.

use crate::random::Random;

/// Which reader a case is for.
#[derive(Debug, Clone, Copy)]
pub enum Reader {
    Safetensors,
    Zip,
    Legacy,
}

/// The file of a case.
pub fn file(reader: Reader, seed: u64, case: u64) -> Vec<u8> {
    let mut random = Random::new(seed, case);
    let mut bytes = match reader {
        Reader::Safetensors => safetensors(&mut random),
        Reader::Zip => zip(&mut random),
        Reader::Legacy => legacy(&mut random),
    };
    if random.once_in(3) {
        damage(&mut random, &mut bytes);
    }
    bytes
}

const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// A safetensors file.
pub fn safetensors(random: &mut Random) -> Vec<u8> {
    const DTYPES: [(&str, usize); 7] =
        [("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8), ("I64", 8), ("BOOL", 1), ("F8_E4M3", 1)];
    let mut header = String::from("{");
    if random.once_in(2) {
        let said = match random.once_in(9) {
            true => r#"{\"resize\":8}"#,
            false => r#"{\"resize\":8,\"size\":8,\"mean\":[0,0,0],\"std\":[1,1,1]}"#,
        };
        header.push_str(&format!(r#""__metadata__":{{"format":"pt","kiln":"{said}"}},"#));
    }
    let mut end = 0;
    for index in 0..random.below(6) + 1 {
        let known = if random.once_in(30) { DTYPES.len() } else { DTYPES.len() - 1 };
        let (dtype, size) = DTYPES[random.below(known)];
        let mut shape: Vec<u64> = (0..random.below(5)).map(|_| random.below(5) as u64).collect();
        if random.once_in(40) {
            shape = vec![1; random.below(20_000)];
        }
        let bytes = shape.iter().product::<u64>() * size as u64;
        if let Some(side) = shape.first_mut() {
            *side = random.perhaps(*side as usize);
        }
        let (from, to) = (random.perhaps(end), random.perhaps(end + bytes as usize));
        end += bytes as usize;
        let name = if random.once_in(30) { 0 } else { index };
        header.push_str(&format!(
            r#""layer{name}.weight":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}},"#
        ));
    }
    header.pop();
    header.push('}');
    let mut header = header.into_bytes();
    if random.once_in(4) {
        damage(random, &mut header);
    }
    let mut bytes = random.perhaps(header.len()).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend((0..end).map(|_| random.next() as u8));
    bytes
}

/// What `torch.save` writes since 1.6.
pub fn zip(random: &mut Random) -> Vec<u8> {
    let (pickle, storages) = checkpoint(random, false);
    let mut entries = vec![("archive/data.pkl".to_string(), pickle)];
    if random.once_in(2) {
        let order: &[u8] = if random.once_in(20) { b"big" } else { b"little" };
        entries.push(("archive/byteorder".to_string(), order.to_vec()));
    }
    entries.extend(storages.into_iter().map(|(key, bytes)| (format!("archive/data/{key}"), bytes)));

    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in &entries {
        let place = bytes.len();
        // Version, flags, method (stored), time, date, checksum (nobody looks at it), sizes, lengths of name and extra.
        let mut fields = vec![20, 0, 0, 0, if random.once_in(90) { 8 } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for _ in 0..2 {
            fields.extend_from_slice(&(random.perhaps(content.len()) as u32).to_le_bytes());
        }
        fields.extend_from_slice(&(random.perhaps(name.len()) as u16).to_le_bytes());
        fields.extend_from_slice(&(random.perhaps(0) as u16).to_le_bytes());
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&fields);
        // Length of a comment, disk, attributes inside and outside.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&(random.perhaps(place) as u32).to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let place = bytes.len();
    bytes.extend_from_slice(&directory);
    if random.once_in(4) {
        // The end of the directory in 64 bits, and where that is.
        let end = bytes.len();
        bytes.extend_from_slice(b"PK\x06\x06");
        bytes.extend_from_slice(&random.perhaps(44).to_le_bytes());
        bytes.extend_from_slice(&[20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for size in [entries.len(), entries.len(), directory.len(), place] {
            bytes.extend_from_slice(&random.perhaps(size).to_le_bytes());
        }
        bytes.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        bytes.extend_from_slice(&random.perhaps(end).to_le_bytes());
        bytes.extend_from_slice(&1u32.to_le_bytes());
    }
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for count in [entries.len(), entries.len()] {
        bytes.extend_from_slice(&(random.perhaps(count) as u16).to_le_bytes());
    }
    for size in [directory.len(), place] {
        bytes.extend_from_slice(&(random.perhaps(size) as u32).to_le_bytes());
    }
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

/// What `torch.save` wrote before 1.6.
pub fn legacy(random: &mut Random) -> Vec<u8> {
    let (pickle, storages) = checkpoint(random, true);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(b"\x80\x02M\xe9\x03.");
    bytes.extend_from_slice(b"\x80\x02}X\x0d\0\0\0little_endian\x88s.");
    bytes.extend(pickle);
    bytes.extend_from_slice(b"\x80\x02](");
    for (key, _) in &storages {
        text(&mut bytes, key);
    }
    bytes.extend_from_slice(b"e.");
    for (_, content) in &storages {
        bytes.extend_from_slice(&random.perhaps(content.len() / 4).to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

/// A pickle of a state dict, and the storages it names.
fn checkpoint(random: &mut Random, legacy: bool) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let mut storages = Vec::new();
    let mut pickle = b"\x80\x02".to_vec();
    if random.once_in(12) {
        program(random, &mut pickle);
    }
    let nested = random.once_in(4);
    let module = random.once_in(4);
    if nested {
        pickle.extend_from_slice(b"}X\x05\0\0\0epochK\x03s");
        text(&mut pickle, "state_dict");
    }
    if module {
        // A whole module, of which these are the parameters.
        pickle.extend_from_slice(b"cmodels\nNet\n)\x81}(");
        text(&mut pickle, "_parameters");
    }
    pickle.extend_from_slice(b"ccollections\nOrderedDict\nq\x00)Rq\x01(");
    for index in 0..random.below(5) + 1 {
        text(&mut pickle, &format!("module.layer{index}.weight"));
        tensor(random, &mut pickle, &mut storages, legacy);
        if random.once_in(12) {
            program(random, &mut pickle);
        }
    }
    pickle.push(b'u');
    if random.once_in(6) {
        // The attributes of the dictionary: its `_metadata`.
        pickle.extend_from_slice(b"}X\x09\0\0\0_metadatah\x00)Rsb");
    }
    if module {
        let parts = ["_buffers", "_modules", "_non_persistent_buffers_set"];
        for part in &parts[..if random.once_in(20) { 1 } else { random.below(2) + 2 }] {
            text(&mut pickle, part);
            pickle.extend_from_slice(if part.ends_with("set") { b"\x8f" } else { b"}" });
        }
        pickle.extend_from_slice(b"ub");
    }
    if nested {
        pickle.push(b's');
    }
    if random.once_in(10) {
        damage(random, &mut pickle);
    }
    pickle.push(b'.');
    (pickle, storages)
}

fn tensor(random: &mut Random, pickle: &mut Vec<u8>, storages: &mut Vec<(String, Vec<u8>)>, legacy: bool) {
    const TYPES: [(&str, usize); 6] = [
        ("FloatStorage", 4),
        ("HalfStorage", 2),
        ("BFloat16Storage", 2),
        ("DoubleStorage", 8),
        ("LongStorage", 8),
        ("QUInt8Storage", 1),
    ];
    let shape: Vec<usize> = (0..random.below(5)).map(|_| random.below(4) + 1).collect();
    let count: usize = shape.iter().product();
    let (kind, size) = match random.below(20) {
        0..10 => TYPES[0],
        other => TYPES[other % if other == 19 { 6 } else { 5 }],
    };
    // One of the storages there are already, or a new one.
    let key = match storages.is_empty() || !random.once_in(3) {
        true => {
            storages.push((storages.len().to_string(), vec![0; count * if legacy { 4 } else { size }]));
            storages.len() - 1
        }
        false => random.below(storages.len()),
    };
    let parameter = random.once_in(10);
    if parameter {
        pickle.extend_from_slice(b"ctorch._utils\n_rebuild_parameter\n(");
    }
    let version = if random.once_in(10) { "" } else { "_v2" };
    pickle.extend_from_slice(format!("ctorch._utils\n_rebuild_tensor{version}\n((").as_bytes());
    text(pickle, "storage");
    pickle.extend_from_slice(format!("ctorch\n{kind}\n").as_bytes());
    text(pickle, &key.to_string());
    text(pickle, "cpu");
    integer(random, pickle, count);
    if legacy {
        pickle.push(b'N');
    }
    pickle.extend_from_slice(b"tQ");
    integer(random, pickle, 0);
    pickle.push(b'(');
    for side in &shape {
        integer(random, pickle, *side);
    }
    pickle.extend_from_slice(b"t(");
    let transposed = random.once_in(3);
    for index in 0..shape.len() {
        let after = if transposed { &shape[..index] } else { &shape[index + 1..] };
        let stride = if random.once_in(12) { 0 } else { after.iter().product() };
        integer(random, pickle, stride);
    }
    pickle.extend_from_slice(b"t\x89h\x00)RtR");
    if parameter {
        pickle.extend_from_slice(b"\x88h\x00)RtR");
    }
    if random.once_in(2) {
        pickle.extend_from_slice(&[b'q', random.below(200) as u8]);
    }
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend_from_slice(&(text.len() as u32).to_le_bytes());
    pickle.extend_from_slice(text.as_bytes());
}

fn integer(random: &mut Random, pickle: &mut Vec<u8>, number: usize) {
    let number = random.perhaps(number);
    pickle.extend_from_slice(b"\x8a\x08");
    pickle.extend_from_slice(&number.to_le_bytes());
}

/// Any instructions; some of them many times.
fn program(random: &mut Random, pickle: &mut Vec<u8>) {
    const PLAIN: &[u8] = b"(012NR)]}ltaesudbQ.\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94";
    for _ in 0..random.below(12) + 1 {
        let mut instruction = match random.below(8) {
            0 => vec![b'K', random.next() as u8],
            1 => vec![random.pick(b"qh"), random.below(12) as u8],
            2 => {
                let mut long = vec![random.pick(b"rjXTBJ\x8b")];
                long.extend_from_slice(&(random.perhaps(3) as u32).to_le_bytes());
                long.extend_from_slice(b"abc");
                long
            }
            3 => {
                let mut long = vec![random.pick(b"\x8d\x8e\x96\x95G")];
                long.extend_from_slice(&random.perhaps(3).to_le_bytes());
                long.extend_from_slice(b"abc");
                long
            }
            4 => b"ccollections\nOrderedDict\n".to_vec(),
            5 => b"cos\nsystem\n".to_vec(),
            _ => vec![random.pick(PLAIN)],
        };
        if random.once_in(8) {
            instruction = instruction.repeat(random.below(20_000));
        }
        pickle.extend(instruction);
    }
}

/// Changes a few bytes: cut off, flipped, replaced by a size, moved, repeated, left out.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.below(3) + 1 {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let longest = 1 << random.below(10);
        let length = random.below(longest).min(bytes.len() - at);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at] ^= 1 << random.below(8),
            3 => bytes[at] = random.next() as u8,
            4 => {
                let size = random.hostile().to_le_bytes();
                let width = random.pick(&[1, 2, 4, 8]).min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&size[..width]);
            }
            5 => {
                let part = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            6 => {
                let part = bytes[at..at + length.min(16)].repeat(random.below(300));
                bytes.splice(at..at, part);
            }
            _ => drop(bytes.drain(at..at + length)),
        }
    }
}
