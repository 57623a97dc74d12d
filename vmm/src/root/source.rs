//! What a source is, and the image that is made of it.

use super::flatten::decompress::{self, Archive};
use super::flatten::error::{Bad, Refused};
use super::flatten::hashed::Hashed;
use super::flatten::oci::{self, Chosen, Layout};
use super::flatten::spool::{self, Part};
use super::flatten::tar::End;
use super::flatten::tree::{self, Kind, Meta, Tree};
use super::flatten::{Flattener, Limits, cpio, tar};
use super::libs::Files;
use super::meter::{Meter, Progress, Step};
use super::{Configuration, Image, open_file};
use crate::Error;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use trapgate_erofs::write::{Attributes, Body, Content, Settings, WriteError};
use trapgate_erofs::{Device, Time, write};

/// What a source is.
pub(super) enum Found {
    /// An image already.
    Image(Image),
    /// An archive, perhaps a compressed one.
    Archive(File),
    /// An OCI layout, and the image in it.
    Layout(Layout, Chosen),
    /// A program of the host's with its libraries, and the digest of each file.
    Program(Files, Vec<String>),
}

impl Found {
    /// What tells it from others, where that is one thing: of an archive the digest of
    /// its bytes, as `of_file` gives it; of a layout that of its image.
    pub(super) fn digest(
        &self,
        of_file: impl FnOnce(&File) -> Result<String, Error>,
    ) -> Result<String, Error> {
        match self {
            Found::Archive(file) => of_file(file),
            Found::Layout(_, chosen) => Ok(chosen.digest.clone()),
            Found::Image(_) | Found::Program(..) => Ok(String::new()),
        }
    }
}

/// Whether a directory is an OCI layout.
pub(super) fn is_layout(path: &Path) -> bool {
    path.join(oci::MARK).exists()
}

/// Looks what is at `path`: by what is in it, and not by its name.
pub(super) fn look(path: &Path) -> Result<Found, Error> {
    let root = |bad: Bad| bad.at(path);
    if path.is_dir() {
        if !is_layout(path) {
            return Err(root(Bad::Unsupported(
                "is a directory, and no OCI layout: it is a root as it is, and an image of it is \
                 made by way of a tar, with 'tar -C DIRECTORY -cf root.tar .'"
                    .to_owned(),
            )));
        }
        let layout = Layout::Directory(path.to_owned());
        let chosen = layout.choose().map_err(root)?;
        return Ok(Found::Layout(layout, chosen));
    }
    let file = open_file(path).map_err(|error| super::unreadable(path, &error))?;
    Ok(match super::has_magic(&file).map_err(Bad::Read).map_err(root)? {
        true => Found::Image(Image::of_file(path, file)?),
        false => Found::Archive(file),
    })
}

/// The SHA-256 digest of a file's bytes.
pub(super) fn digest(file: &File, report: &mut dyn FnMut(Progress)) -> io::Result<String> {
    let length = file.metadata()?.len();
    let mut meter = Meter::new(report, Step::Reading, length);
    let from = meter.of(Part::new(file, whole(length)));
    Hashed::new(BufReader::with_capacity(1 << 20, from)).digest()
}

/// All of a file.
fn whole(length: u64) -> spool::Content {
    spool::Content { offset: 0, length }
}

/// Makes the image of a source, and answers what that says of its program. `scratch` makes an empty temporary file; `digest` is
/// what tells this source from others.
pub(super) fn build(
    found: &Found,
    digest: &str,
    scratch: &dyn Fn() -> io::Result<File>,
    output: &mut (impl Write + Seek),
    report: &mut dyn FnMut(Progress),
) -> Result<Option<Configuration>, Bad> {
    let mut configuration = None;
    let (tree, spool) = match found {
        Found::Image(_) => return Err(Bad::Unsupported("is an image already".to_owned())),
        Found::Layout(layout, chosen) => {
            configuration = chosen.configuration.clone();
            layers(layout, chosen, scratch, report)?
        }
        Found::Program(files, digests) => {
            let mut flattener = new_flattener(scratch)?;
            files.read(digests, &mut flattener)?;
            flattener.finish()?
        }
        Found::Archive(file) => {
            let (tree, spool) = archive(file, digest, scratch, report)?;
            if Layout::is_in(&tree) {
                let layout = Layout::Tree(tree, spool);
                let chosen = layout.choose()?;
                let made = layers(&layout, &chosen, scratch, report)?;
                configuration = chosen.configuration;
                made
            } else {
                (tree, spool)
            }
        }
    };
    let uuid = std::array::from_fn(|at| {
        let digits = digest.get(2 * at..2 * at + 2).unwrap_or_default();
        u8::from_str_radix(digits, 16).unwrap_or_default()
    });
    // No time of its own: the same source gives the same image.
    let settings = Settings { uuid, build_time: Time::default() };
    let length = spool.metadata().map_err(Bad::Write)?.len();
    let mut output = Reporting { inner: output, meter: Meter::new(report, Step::Writing, length) };
    let image = convert(&tree, &spool)?;
    drop(tree);
    write::write(&image, &settings, &mut output).map_err(|error| match error {
        WriteError::Output(error) => Bad::Write(error),
        WriteError::Content { error, .. } => Bad::Write(error),
        other => Bad::Unsupported(format!("cannot be an image: {other}")),
    })?;
    Ok(configuration)
}

fn new_flattener(scratch: &dyn Fn() -> io::Result<File>) -> Result<Flattener, Bad> {
    Ok(Flattener::new(scratch().map_err(Bad::Write)?, Limits::DEFAULT))
}

/// An archive's tree. Its bytes must have this digest.
fn archive(
    file: &File,
    digest: &str,
    scratch: &dyn Fn() -> io::Result<File>,
    report: &mut dyn FnMut(Progress),
) -> Result<(Tree, File), Bad> {
    let length = file.metadata().map_err(Bad::Read)?.len();
    let mut meter = Meter::new(report, Step::Unpacking, length);
    let mut hashed = Hashed::new(meter.of(Part::new(file, whole(length))));
    let mut flattener = new_flattener(scratch)?;
    {
        let mut bytes = decompress::reader(&mut hashed)?;
        match decompress::archive(&mut bytes)? {
            Archive::Tar => tar::read(&mut bytes, End::Marked, &mut flattener)?,
            Archive::Cpio => cpio::read(&mut bytes, &mut flattener)?,
        }
        drain(&mut bytes)?;
    }
    match hashed.digest().map_err(Bad::read)? == digest {
        true => flattener.finish(),
        false => Err(Bad::Changed),
    }
}

/// Reads on behind an archive's end, as far as it is compressed: what is damaged there
/// may have been the archive. Zeroes fill up its last record.
fn drain(bytes: &mut dyn BufRead) -> Result<(), Bad> {
    /// More than any record.
    const MOST: u64 = 16 << 20;
    io::copy(&mut bytes.take(MOST), &mut io::sink()).map(drop).map_err(Bad::read)
}

/// The tree of all layers of an image.
fn layers(
    layout: &Layout,
    chosen: &Chosen,
    scratch: &dyn Fn() -> io::Result<File>,
    report: &mut dyn FnMut(Progress),
) -> Result<(Tree, File), Bad> {
    let mut meter = Meter::new(report, Step::Unpacking, chosen.size());
    let mut flattener = new_flattener(scratch)?;
    layout.read(chosen, &mut meter, &mut flattener)?;
    flattener.finish()
}

/// Where the writer finds a file's bytes.
struct InSpool<'a>(&'a File, spool::Content);

impl Content for InSpool<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Part::new(self.0, self.1)))
    }
}

/// The tree as the writer wants it.
fn convert<'a>(tree: &Tree, spool: &'a File) -> Result<write::Tree<InSpool<'a>>, Bad> {
    let mut image = write::Tree::new(attributes(&tree.node(Tree::ROOT).meta));
    // The path of each that may have several.
    let mut names: HashMap<tree::Id, Vec<u8>> = HashMap::new();
    let mut ahead = vec![(Vec::new(), Tree::ROOT)];
    let refused = |error: write::TreeError| Bad::Entry {
        name: error.path,
        refused: Refused::Image(error.what),
    };
    while let Some((directory_path, id)) = ahead.pop() {
        let Kind::Directory(directory) = &tree.node(id).kind else { continue };
        for (name, id) in directory.entries() {
            let mut path = directory_path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let node = tree.node(id);
            let device = |(major, minor): tree::Device| Device { major, minor };
            let body = match &node.kind {
                Kind::Directory(_) => Body::Directory,
                Kind::Regular(content) => {
                    Body::Regular { size: content.length, content: InSpool(spool, *content) }
                }
                Kind::Symlink(target) => Body::Symlink(target.to_vec()),
                Kind::Character(numbers) => Body::Character(device(*numbers)),
                Kind::Block(numbers) => Body::Block(device(*numbers)),
                Kind::Fifo => Body::Fifo,
                Kind::Socket => Body::Socket,
            };
            if let Kind::Directory(_) = node.kind {
                image.add(&path, attributes(&node.meta), body).map_err(refused)?;
                ahead.push((path, id));
            } else if let Some(first) = names.get(&id) {
                image.link(&path, first).map_err(refused)?;
            } else {
                image.add(&path, attributes(&node.meta), body).map_err(refused)?;
                if tree.has_names(id) {
                    names.insert(id, path);
                }
            }
        }
    }
    Ok(image)
}

fn attributes(meta: &Meta) -> Attributes {
    let (seconds, nanoseconds) = meta.mtime;
    let modified = Time { seconds, nanoseconds };
    Attributes { permissions: meta.mode, uid: meta.uid, gid: meta.gid, modified }
}

/// An output whose bytes are counted.
struct Reporting<'a, W> {
    inner: W,
    meter: Meter<'a>,
}

impl<W: Write> Write for Reporting<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.meter.add(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Seek> Seek for Reporting<'_, W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
