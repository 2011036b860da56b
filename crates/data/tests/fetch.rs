//! Downloads from a server of our own on this machine, which misbehaves as told.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use kiln_core::{Kind, Result};
use kiln_data::{Manifest, ManifestFile, Progress, fetch};
use sha2::{Digest, Sha256};

/// How the server answers a request; the last way is how it answers all that follow.
#[derive(Clone, Copy)]
enum Answer {
    /// All, or the range that is asked for.
    Whole,
    /// The range or all, but the connection ends after so many bytes.
    Broken(usize),
    /// All, whatever range is asked for.
    NoRanges,
    /// 416, as if the range began beyond the end.
    Unsatisfiable,
    /// 404.
    Nothing,
}

/// A server of one file, and the `Range` headers it was sent.
struct Server {
    address: String,
    ranges: Arc<Mutex<Vec<Option<String>>>>,
}

fn serve(body: Vec<u8>, answers: &'static [Answer]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = ranges.clone();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let answer = answers[number.min(answers.len() - 1)];
            reply(stream.unwrap(), &body, answer, &seen);
        }
    });
    Server { address, ranges }
}

fn reply(mut stream: TcpStream, body: &[u8], answer: Answer, seen: &Mutex<Vec<Option<String>>>) {
    let mut range = None;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_string());
        }
    }
    seen.lock().unwrap().push(range.clone());
    let start: Option<usize> =
        range.map(|r| r.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap());
    let start = start.filter(|_| !matches!(answer, Answer::NoRanges));
    let rest = &body[start.unwrap_or(0)..];
    let head = match (answer, start) {
        (Answer::Nothing, _) => "HTTP/1.1 404 Not Found\r\nContent-Length: 0".to_string(),
        (Answer::Unsatisfiable, _) => "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0".to_string(),
        (_, Some(start)) => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\nContent-Length: {}",
            body.len() - 1,
            body.len(),
            rest.len()
        ),
        (_, None) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}", rest.len()),
    };
    let sent = match answer {
        Answer::Nothing | Answer::Unsatisfiable => &[],
        Answer::Broken(bytes) => &rest[..bytes.min(rest.len())],
        Answer::Whole | Answer::NoRanges => rest,
    };
    // Whoever asked may hang up early.
    let _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(sent);
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn manifest(server: &Server, name: &str, bytes: &[u8], unpack: bool) -> Manifest {
    let url = format!("{}/{name}", server.address);
    Manifest {
        name: "test".to_string(),
        title: "a test".to_string(),
        licence: "MIT".to_string(),
        source: "here".to_string(),
        by_hand: None,
        classes: vec!["a".to_string()],
        classes_of: None,
        folders: vec!["a".to_string()],
        mean: [0.5; 3],
        std: [0.5; 3],
        files: vec![ManifestFile { url, size: bytes.len() as u64, sha256: hex(bytes), unpack }],
        splits: Vec::new(),
    }
}

fn fetched(manifest: &Manifest, into: &Path) -> (Result<()>, Vec<Progress>) {
    let mut told = Vec::new();
    let result = fetch(manifest, into, &mut |progress| told.push(progress));
    (result, told)
}

/// Bytes of no period that a download could hide behind.
fn body(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(6364136223846793005) >> 33) as u8).collect()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_download_is_the_file_and_nothing_but_the_file() {
    let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
    let server = serve(body.clone(), &[Answer::Whole]);
    let manifest = manifest(&server, "a.bin", &body, false);
    // The folder is made.
    let into = into.path().join("raw");
    let (result, told) = fetched(&manifest, &into);
    result.unwrap();
    assert_eq!(fs::read(into.join("a.bin")).unwrap(), body);
    assert_eq!(entries(&into), ["a.bin"]);
    assert_eq!(told.first(), Some(&Progress::Downloading { file: "a.bin".into(), done: 0, total: 300_000 }));
    assert!(told.contains(&Progress::Downloading { file: "a.bin".into(), done: 300_000, total: 300_000 }));
    assert_eq!(told.last(), Some(&Progress::Ready { file: "a.bin".into() }));

    let (result, told) = fetched(&manifest, &into);
    result.unwrap();
    assert_eq!(told, [Progress::Present { file: "a.bin".into() }]);
    assert_eq!(server.ranges.lock().unwrap().len(), 1, "a file that is there is not asked for again");
}

#[test]
fn a_download_broken_off_is_taken_up_where_it_ended() {
    let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
    let server = serve(body.clone(), &[Answer::Broken(100_000), Answer::Broken(50_000), Answer::Whole]);
    fetched(&manifest(&server, "a.bin", &body, false), into.path()).0.unwrap();
    assert_eq!(fs::read(into.path().join("a.bin")).unwrap(), body);
    let ranges = server.ranges.lock().unwrap().clone();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_string()), Some("bytes=150000-".to_string())]);
}

#[test]
fn a_part_of_an_earlier_run_is_continued() {
    let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
    fs::write(into.path().join("a.bin.part"), &body[..123_456]).unwrap();
    let server = serve(body.clone(), &[Answer::Whole]);
    let (result, told) = fetched(&manifest(&server, "a.bin", &body, false), into.path());
    result.unwrap();
    assert_eq!(fs::read(into.path().join("a.bin")).unwrap(), body);
    assert_eq!(*server.ranges.lock().unwrap(), [Some("bytes=123456-".to_string())]);
    assert_eq!(
        told.first(),
        Some(&Progress::Downloading { file: "a.bin".into(), done: 123_456, total: 300_000 })
    );
}

#[test]
fn a_server_that_stays_broken_is_a_failure_that_keeps_the_part() {
    let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
    let server = serve(body.clone(), &[Answer::Broken(1_000), Answer::Broken(0)]);
    let error = fetched(&manifest(&server, "a.bin", &body, false), into.path()).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Failure);
    assert!(
        error.to_string().contains("broke off")
            && error.to_string().contains("1000 of 300000 bytes are kept"),
        "{error}"
    );
    assert_eq!(fs::read(into.path().join("a.bin.part")).unwrap(), &body[..1_000]);
}

#[test]
fn a_server_without_ranges_makes_the_download_begin_again() {
    for answers in [&[Answer::NoRanges][..], &[Answer::Unsatisfiable, Answer::Whole]] {
        let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
        // What is here is of another file: it must not be continued, and it is not.
        fs::write(into.path().join("a.bin.part"), vec![1; 200_000]).unwrap();
        let server = serve(body.clone(), answers);
        fetched(&manifest(&server, "a.bin", &body, false), into.path()).0.unwrap();
        assert_eq!(fs::read(into.path().join("a.bin")).unwrap(), body);
        assert_eq!(server.ranges.lock().unwrap().first(), Some(&Some("bytes=200000-".to_string())));
    }
}

#[test]
fn a_wrong_checksum_names_both_and_removes_nothing_good() {
    let (good, into) = (body(300_000), tempfile::tempdir().unwrap());
    let mut bad = good.clone();
    bad[77] ^= 1;
    let server = serve(bad.clone(), &[Answer::Whole]);
    let mut manifest = manifest(&server, "b.bin", &good, false);
    let first = ManifestFile {
        url: format!("{}/a.bin", server.address),
        sha256: hex(&bad),
        ..manifest.files[0].clone()
    };
    manifest.files.insert(0, first);
    // An older file of that name stays as it is.
    fs::write(into.path().join("b.bin"), "older").unwrap();
    let error = fetched(&manifest, into.path()).0.unwrap_err();
    assert_eq!((error.kind(), error.file_named()), (Kind::Input, Some(into.path().join("b.bin").as_path())));
    let message = error.to_string();
    assert!(message.contains(&hex(&good)) && message.contains(&hex(&bad)), "{message}");
    assert_eq!(entries(into.path()), ["a.bin", "b.bin"]);
    assert_eq!(fs::read(into.path().join("a.bin")).unwrap(), bad);
    assert_eq!(fs::read(into.path().join("b.bin")).unwrap(), b"older");
}

#[test]
fn a_file_longer_than_the_manifest_says_is_not_downloaded_to_its_end() {
    let (body, into) = (body(300_000), tempfile::tempdir().unwrap());
    let server = serve(body.clone(), &[Answer::Whole]);
    let error = fetched(&manifest(&server, "a.bin", &body[..1_000], false), into.path()).0.unwrap_err();
    assert!(error.to_string().contains("expected 1000 bytes, found 1001"), "{error}");
    assert_eq!(entries(into.path()), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_no_file_is_a_failure_that_names_the_address() {
    let into = tempfile::tempdir().unwrap();
    let server = serve(Vec::new(), &[Answer::Nothing]);
    let error = fetched(&manifest(&server, "a.bin", b"abc", false), into.path()).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Failure);
    assert!(error.to_string().contains("404") && error.to_string().contains("/a.bin"), "{error}");
    assert_eq!(entries(into.path()), Vec::<String>::new());
}

/// A `.tar.gz` of files; the names are written as they are, however evil.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_is_unpacked_and_gives_way_to_a_list_of_what_was_in_it() {
    let into = tempfile::tempdir().unwrap();
    let packed = archive(&[("set/a.bin", b"first"), ("./set/deep/b.bin", b"second")]);
    let server = serve(packed.clone(), &[Answer::Whole]);
    let manifest = manifest(&server, "set.tar.gz", &packed, true);
    fetched(&manifest, into.path()).0.unwrap();
    assert_eq!(entries(into.path()), ["set", "set.tar.gz.sha256"]);
    assert_eq!(fs::read(into.path().join("set/a.bin")).unwrap(), b"first");
    assert_eq!(fs::read(into.path().join("set/deep/b.bin")).unwrap(), b"second");

    let (result, told) = fetched(&manifest, into.path());
    result.unwrap();
    assert_eq!(told, [Progress::Present { file: "set.tar.gz".into() }]);

    // What was damaged since is fetched again, and put right.
    fs::write(into.path().join("set/a.bin"), "fir").unwrap();
    fetched(&manifest, into.path()).0.unwrap();
    assert_eq!(fs::read(into.path().join("set/a.bin")).unwrap(), b"first");
    assert_eq!(server.ranges.lock().unwrap().len(), 2);
}

#[test]
fn an_archive_that_leads_elsewhere_is_refused_and_nothing_is_unpacked() {
    for name in ["../evil", "set/../../evil", "/tmp/evil-of-kiln"] {
        let outer = tempfile::tempdir().unwrap();
        let into = outer.path().join("raw");
        let packed = archive(&[("set/a.bin", b"first"), (name, b"evil")]);
        let server = serve(packed.clone(), &[Answer::Whole]);
        let error = fetched(&manifest(&server, "set.tar.gz", &packed, true), &into).0.unwrap_err();
        assert!(
            error.to_string().contains(name) && error.to_string().contains("out of the archive"),
            "{error}"
        );
        assert_eq!(entries(outer.path()), ["raw"]);
        assert_eq!(entries(&into), ["set.tar.gz"]);
        assert!(!Path::new("/tmp/evil-of-kiln").exists());
    }
}

#[test]
fn an_archive_with_a_link_is_refused() {
    let into = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "set", "/etc").unwrap();
    let packed = tar.into_inner().unwrap().finish().unwrap();
    let server = serve(packed.clone(), &[Answer::Whole]);
    let error = fetched(&manifest(&server, "set.tar.gz", &packed, true), into.path()).0.unwrap_err();
    assert!(error.to_string().contains("`set`: a link or a device"), "{error}");
    assert_eq!(entries(into.path()), ["set.tar.gz"]);
}
