//! An OCI image: from a layout, a directory or an archive of one, to its layers.
//!
//! What a digest names is read once, and is that: it is compared when it has been read.

use super::error::Bad;
use super::hashed::{self, Hashed};
use super::spool::Part;
use super::tar::End;
use super::tree::Tree;
use super::{Flattener, decompress};
use crate::root::configuration::Configuration;
use crate::root::meter::Meter;
use crate::root::open_file;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use trapgate_loader::text::printable;

/// The file that says that a directory is a layout.
pub(crate) const MARK: &str = "oci-layout";

/// Bytes of the largest index, manifest or configuration.
const LONGEST: u64 = 4 << 20;

/// Indexes below each other.
const DEEPEST: usize = 4;

/// The most layers; overlayfs and its users stop at some hundred.
const MOST_LAYERS: usize = 1000;

/// Where a layout's files are.
pub(crate) enum Layout {
    /// In a directory.
    Directory(PathBuf),
    /// In a tree that an archive came to, and the file that has its bytes.
    Tree(Tree, File),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    /// Of an image there is one.
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// An image of a layout: its manifest.
pub(crate) struct Chosen {
    /// The digest that names it, 64 hexadecimal digits.
    pub(crate) digest: String,
    /// What it says of its program.
    pub(crate) configuration: Option<Configuration>,
    layers: Vec<Descriptor>,
}

impl Chosen {
    /// Bytes of all its layers, as they are stored.
    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }
}

impl Layout {
    /// Whether a tree is a layout, and no root of its own.
    pub(crate) fn is_in(tree: &Tree) -> bool {
        let has = |name: &str| tree.regular(name.as_bytes()).is_some();
        has(MARK) && has("index.json")
    }

    /// Opens a file of it, and says how long it is.
    fn open(&self, name: &str) -> Result<(Box<dyn Read>, u64), Bad> {
        let missing = || Bad::Damaged(format!("there is no {name} in it"));
        match self {
            Layout::Directory(directory) => match open_file(&directory.join(name)) {
                Ok(file) => {
                    let length = file.metadata().map_err(Bad::read)?.len();
                    Ok((Box::new(file), length))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
                Err(error) => Err(Bad::read(error)),
            },
            Layout::Tree(tree, spool) => {
                let content = tree.regular(name.as_bytes()).ok_or_else(missing)?;
                let spool = spool.try_clone().map_err(Bad::read)?;
                Ok((Box::new(Part::new(spool, content)), content.length))
            }
        }
    }

    /// A small file of it.
    fn small(&self, name: &str) -> Result<Vec<u8>, Bad> {
        let (mut file, length) = self.open(name)?;
        if length > LONGEST {
            return Err(Bad::Damaged(format!("{name} is longer than 4 MiB")));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(LONGEST).read_to_end(&mut bytes).map_err(Bad::read)?;
        Ok(bytes)
    }

    /// What a descriptor of something small names.
    fn named(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Bad> {
        let digest = digest(&descriptor.digest)?;
        let bytes = self.small(&blob(digest))?;
        match hashed::digest(&bytes) == digest {
            true => Ok(bytes),
            false => Err(not_its_digest(digest)),
        }
    }

    /// Chooses the image for x86-64 Linux.
    pub(crate) fn choose(&self) -> Result<Chosen, Bad> {
        let mut index: Index = json("index.json", &self.small("index.json")?)?;
        for _ in 0..DEEPEST {
            let descriptor = choose(&index.manifests)?;
            let bytes = self.named(descriptor)?;
            if is_index(descriptor, &bytes) {
                index = json(&descriptor.digest, &bytes)?;
                continue;
            }
            let manifest: Manifest = json(&descriptor.digest, &bytes)?;
            if manifest.layers.is_empty() || manifest.layers.len() > MOST_LAYERS {
                let count = manifest.layers.len();
                return Err(Bad::Damaged(format!("its image has {count} layers")));
            }
            let digest = digest(&descriptor.digest)?.to_owned();
            let configuration = manifest.config.map(|config| self.configuration(&config));
            let configuration = configuration.transpose()?;
            return Ok(Chosen { digest, configuration, layers: manifest.layers });
        }
        Err(Bad::Damaged("its indexes name each other".to_owned()))
    }

    fn configuration(&self, descriptor: &Descriptor) -> Result<Configuration, Bad> {
        let bytes = self.named(descriptor)?;
        Configuration::parse(&bytes).map_err(|error| malformed(&descriptor.digest, &error))
    }

    /// Puts all layers of an image into a tree, the lowest first.
    pub(crate) fn read(
        &self,
        chosen: &Chosen,
        meter: &mut Meter<'_>,
        into: &mut Flattener,
    ) -> Result<(), Bad> {
        for layer in &chosen.layers {
            let digest = digest(&layer.digest)?;
            let name = |bad: Bad| bad.of(format!("layer {}", &digest[..12]).as_bytes());
            let (file, _) = self.open(&blob(digest))?;
            let mut file = Hashed::new(meter.of(file));
            into.begin_layer();
            {
                let mut bytes = decompress::reader(&mut file).map_err(name)?;
                if bytes.fill_buf().map_err(Bad::read).map_err(name)?.is_empty() {
                    return Err(name(Bad::Truncated));
                }
                super::tar::read(&mut bytes, End::Anyhow, into).map_err(name)?;
            }
            // What is behind the archive's end is the layer's, too.
            if file.digest().map_err(Bad::read).map_err(name)? != digest {
                return Err(not_its_digest(digest));
            }
        }
        Ok(())
    }
}

/// Whether this is an index and not a manifest: by its type, or where none is said by
/// what is in it.
fn is_index(descriptor: &Descriptor, bytes: &[u8]) -> bool {
    match descriptor.media_type.as_str() {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => true,
        "" => serde_json::from_slice(bytes).is_ok_and(|index: Index| !index.manifests.is_empty()),
        _ => false,
    }
}

/// The one manifest for x86-64 Linux.
fn choose(manifests: &[Descriptor]) -> Result<&Descriptor, Bad> {
    let is_for = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == "amd64",
        None => true,
    };
    let mut fitting: Vec<_> = manifests.iter().filter(is_for).collect();
    // One image may have several names.
    fitting.dedup_by(|one, other| one.digest == other.digest);
    match fitting[..] {
        [descriptor] => Ok(descriptor),
        [] => Err(Bad::Unsupported("has no image for linux/amd64".to_owned())),
        _ => Err(Bad::Unsupported(format!(
            "has {} images for linux/amd64: copy the one that is meant into a layout of its own, \
             with 'skopeo copy'",
            fitting.len()
        ))),
    }
}

fn json<'a, T: Deserialize<'a>>(name: &str, bytes: &'a [u8]) -> Result<T, Bad> {
    serde_json::from_slice(bytes).map_err(|error| malformed(name, &error))
}

fn malformed(name: &str, error: &serde_json::Error) -> Bad {
    // It may quote what is there.
    let error = printable(error.to_string().as_bytes());
    Bad::Damaged(format!("{}: {error}", printable(name.as_bytes())))
}

/// The digits of a digest, which then are just that.
fn digest(text: &str) -> Result<&str, Bad> {
    let digits = text.strip_prefix("sha256:").filter(|digits| {
        digits.len() == 64 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    });
    digits.ok_or_else(|| {
        let text = printable(text.as_bytes());
        Bad::Unsupported(format!("names something by '{text}', which is no SHA-256 digest"))
    })
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

fn not_its_digest(digest: &str) -> Bad {
    Bad::Damaged(format!("blobs/sha256/{digest} is not what its digest says"))
}

#[cfg(test)]
pub(crate) mod tests;
