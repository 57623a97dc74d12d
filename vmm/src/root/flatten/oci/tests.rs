use super::*;
use crate::root::flatten::Limits;
use crate::root::flatten::decompress::tests::{gzip, zstd};
use crate::root::flatten::tar::tests::{archive, directory, file};
use crate::root::flatten::tree::tests::listing;
use crate::root::meter::{Progress, Step};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A layout that is being written.
pub(crate) struct Written {
    directory: TempDir,
}

impl Written {
    fn new() -> Written {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join(MARK), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Written { directory }
    }

    /// The layout of one image with these layers.
    pub(crate) fn of_layers(layers: &[Vec<u8>]) -> Written {
        let layout = Written::new();
        let layers: Vec<_> = layers.iter().map(|layer| layout.blob("layer", layer)).collect();
        let manifest = layout.manifest(&layers);
        layout.index(&[manifest]);
        layout
    }

    /// The same, which says this of its program: a configuration's file.
    pub(crate) fn of_image(layers: &[Vec<u8>], configuration: &str) -> Written {
        let layout = Written::new();
        let layers: Vec<_> = layers.iter().map(|layer| layout.blob("layer", layer)).collect();
        let media_type = "application/vnd.oci.image.config.v1+json";
        let config = layout.blob(media_type, configuration.as_bytes());
        let text = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        let manifest = layout.blob("application/vnd.oci.image.manifest.v1+json", text.as_bytes());
        layout.index(&[manifest]);
        layout
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = hashed::digest(bytes);
        fs::write(self.path().join(blob(&digest)), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    fn manifest(&self, layers: &[Value]) -> Value {
        let text = json!({"schemaVersion": 2, "layers": layers}).to_string();
        self.blob("application/vnd.oci.image.manifest.v1+json", text.as_bytes())
    }

    fn index(&self, manifests: &[Value]) {
        let text = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        fs::write(self.path().join("index.json"), text).unwrap();
    }

    /// The same as a tar.
    pub(crate) fn archive(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        for name in [MARK, "index.json"] {
            entries.push(file(name, &fs::read(self.path().join(name)).unwrap()));
        }
        for entry in fs::read_dir(self.path().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("./blobs/sha256/{}", path.file_name().unwrap().to_str().unwrap());
            entries.push(file(&name, &fs::read(path).unwrap()));
        }
        archive(&entries)
    }

    fn layout(&self) -> Layout {
        Layout::Directory(self.path().to_owned())
    }
}

fn flatten(layout: &Layout) -> Result<Vec<String>, Bad> {
    let limits = Limits { bytes: 1 << 30, entries: 1000 };
    let mut flattener = Flattener::new(tempfile::tempfile().unwrap(), limits);
    let mut ignore = |_: Progress| {};
    let mut meter = Meter::new(&mut ignore, Step::Unpacking, 0);
    layout.read(&layout.choose()?, &mut meter, &mut flattener)?;
    Ok(listing(&flattener.finish()?.0))
}

fn with_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

/// Three layers: the second hides what the first has, each way, and the third is empty.
fn layers() -> Vec<Vec<u8>> {
    vec![
        archive(&[
            directory("etc/"),
            file("etc/a", b"1"),
            file("etc/b", b"1"),
            file("var/cache/old", b"1"),
            file("var/log", b"1"),
        ]),
        gzip(&archive(&[
            file("etc/.wh.a", b""),
            file("etc/b", b"22"),
            file("var/cache/new", b"1"),
            file("var/cache/.wh..wh..opq", b""),
            file("var/.wh..wh.plnk", b""),
        ])),
        zstd(&archive(&[file(".wh.none", b"")])),
    ]
}

const FLAT: [&str; 6] =
    ["d /etc", "f /etc/b 2", "d /var", "d /var/cache", "f /var/cache/new 1", "f /var/log 1"];

#[test]
fn layers_lie_above_each_other_and_whiteouts_take_away() {
    assert_eq!(flatten(&Written::of_layers(&layers()).layout()).unwrap(), FLAT);
}

#[test]
fn a_tar_of_a_layout_is_one() {
    let limits = Limits { bytes: 1 << 30, entries: 1000 };
    let tree = |bytes: &[u8]| {
        let mut flattener = Flattener::new(tempfile::tempfile().unwrap(), limits);
        crate::root::flatten::tar::read(&mut &bytes[..], End::Marked, &mut flattener).unwrap();
        flattener.finish().unwrap()
    };
    let (of_layout, spool) = tree(&Written::of_layers(&layers()).archive());
    assert!(Layout::is_in(&of_layout));
    assert_eq!(flatten(&Layout::Tree(of_layout, spool)).unwrap(), FLAT);
    assert!(!Layout::is_in(&tree(&archive(&[file(MARK, b"")])).0));
    assert!(!Layout::is_in(&tree(&archive(&[directory(MARK), file("index.json", b"")])).0));
}

#[test]
fn the_image_for_this_platform_is_found_through_indexes() {
    let layout = Written::new();
    let layer = layout.blob("layer", &archive(&[file("amd64", b"")]));
    let other = layout.blob("layer", &archive(&[file("arm64", b"")]));
    let (ours, others) = (layout.manifest(&[layer]), layout.manifest(&[other]));
    let manifests = [
        with_platform(others.clone(), "linux", "arm64"),
        with_platform(ours.clone(), "linux", "amd64"),
        with_platform(others.clone(), "unknown", "unknown"),
    ];
    layout.index(&manifests);
    assert_eq!(flatten(&layout.layout()).unwrap(), ["f /amd64 0"]);
    let text = json!({"manifests": manifests}).to_string();
    let inner = layout.blob("application/vnd.oci.image.index.v1+json", text.as_bytes());
    layout.index(std::slice::from_ref(&inner));
    assert_eq!(flatten(&layout.layout()).unwrap(), ["f /amd64 0"]);
    // The same image by two names is one, two images are a question.
    layout.index(&[ours.clone(), ours.clone()]);
    assert_eq!(flatten(&layout.layout()).unwrap(), ["f /amd64 0"]);
    layout.index(&[ours, others.clone()]);
    let text = flatten(&layout.layout()).unwrap_err().to_string();
    assert!(text.starts_with("has 2 images for linux/amd64: copy the one"), "{text}");
    layout.index(&[with_platform(others, "linux", "arm64")]);
    let text = flatten(&layout.layout()).unwrap_err().to_string();
    assert_eq!(text, "has no image for linux/amd64");
}

#[test]
fn what_is_not_its_digest_is_refused() {
    let layout = Written::new();
    let layer = layout.blob("layer", &archive(&[file("a", b"")]));
    let manifest = layout.manifest(std::slice::from_ref(&layer));
    layout.index(std::slice::from_ref(&manifest));
    for descriptor in [&layer, &manifest] {
        let digest = digest(descriptor["digest"].as_str().unwrap()).unwrap();
        let path = layout.path().join(blob(digest));
        let good = fs::read(&path).unwrap();
        // A byte behind the end of the archive, or of the text.
        fs::write(&path, [&good[..], b" "].concat()).unwrap();
        let text = flatten(&layout.layout()).unwrap_err().to_string();
        assert!(text.ends_with("is not what its digest says"), "{text}");
        fs::remove_file(&path).unwrap();
        let text = flatten(&layout.layout()).unwrap_err().to_string();
        assert!(text.ends_with(&format!("there is no {} in it", blob(digest))), "{text}");
        fs::write(&path, good).unwrap();
    }
    assert!(flatten(&layout.layout()).is_ok());
}

#[test]
fn names_lead_nowhere_else() {
    let layout = Written::new();
    for digest in ["sha256:../../../etc/passwd", "sha512:00", "sha256:ABC", ""] {
        layout.index(&[json!({"digest": digest, "size": 1})]);
        let text = flatten(&layout.layout()).unwrap_err().to_string();
        assert!(text.ends_with("which is no SHA-256 digest"), "{text}");
    }
}

#[test]
fn what_is_malformed_is_said() {
    let layout = Written::new();
    let message = || flatten(&layout.layout()).unwrap_err().to_string();
    assert_eq!(message(), "is damaged: there is no index.json in it");
    fs::write(layout.path().join("index.json"), "{").unwrap();
    assert!(message().starts_with("is damaged: index.json: EOF"), "{}", message());
    layout.index(&[]);
    assert_eq!(message(), "has no image for linux/amd64");
    let manifest = layout.manifest(&[]);
    layout.index(&[manifest]);
    assert_eq!(message(), "is damaged: its image has 0 layers");
    // An index that names itself cannot be made; a long chain can.
    let mut inner = layout.manifest(&[]);
    for _ in 0..5 {
        let text = json!({"manifests": [inner]}).to_string();
        inner = layout.blob("application/vnd.oci.image.index.v1+json", text.as_bytes());
    }
    layout.index(&[inner]);
    assert_eq!(message(), "is damaged: its indexes name each other");
    let layer = layout.blob("layer", b"");
    let manifest = layout.manifest(&[layer]);
    layout.index(&[manifest]);
    assert!(message().contains("': ends in the middle"), "{}", message());
}

#[test]
fn what_an_image_says_of_its_program_is_what_its_digest_names() {
    let text = r#"{"config": {"Cmd": ["sh"], "User": "web"}}"#;
    let layout = Written::of_image(&layers(), text);
    let said = layout.layout().choose().unwrap().configuration.unwrap();
    assert_eq!((said.command, said.user), (vec!["sh".to_owned()], "web".to_owned()));
    assert_eq!(Written::of_layers(&layers()).layout().choose().unwrap().configuration, None);
    let broken = Written::of_image(&layers(), r#"{"config": {"Cmd": "sh"}}"#);
    let error = broken.layout().choose().err().unwrap().to_string();
    assert!(error.starts_with("is damaged: sha256:"), "{error}");
    let name = blob(&hashed::digest(text.as_bytes()));
    fs::write(layout.path().join(&name), text.replace("web", "abc")).unwrap();
    let error = layout.layout().choose().err().unwrap().to_string();
    assert!(error.contains("is not what its digest says"), "{error}");
    fs::remove_file(layout.path().join(&name)).unwrap();
    assert!(layout.layout().choose().err().unwrap().to_string().contains("there is no blobs"));
}
