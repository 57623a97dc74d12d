use super::*;
use crate::root::flatten::decompress::tests::{gzip, zstd};
use crate::root::flatten::oci::tests::Written;
use crate::root::flatten::tar::tests::{archive, directory, file};
use crate::root::meter::Step;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// A cache, and a directory for sources.
struct Place {
    directory: TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().join("cache"));
        Place { directory, cache }
    }

    fn source(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The image of a source, and the steps that it took.
    fn image(&self, path: &Path) -> Result<(Image, Vec<Step>), Error> {
        let mut steps = Vec::new();
        let image = self.cache.image(path, &mut |progress| steps.push(progress.step))?;
        steps.dedup();
        Ok((image, steps))
    }

    fn error(&self, path: &Path) -> String {
        self.image(path).map(|(image, _)| image).unwrap_err().to_string()
    }

    /// Names in the cache's directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.cache.directory).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "files").collect();
        names.sort();
        names
    }
}

fn root() -> Vec<u8> {
    archive(&[directory("bin/"), file("bin/a", b"#!"), file("b", &[7; 10_000])])
}

/// The root as a cpio.
fn cpio() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, mode, data) in [("b", 0o100_644, &[7; 10_000][..]), ("TRAILER!!!", 0, b"")] {
        let numbers = [1, mode, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
        bytes.extend(b"070701");
        numbers.iter().for_each(|number| bytes.extend(format!("{number:08x}").bytes()));
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
    }
    bytes
}

#[test]
fn a_source_of_every_kind_becomes_an_image_that_passes_its_check() {
    let place = Place::new();
    let layout = Written::of_layers(&[root(), gzip(&root())]);
    let sources = [
        ("root.tar", root(), 4),
        ("root.tar.gz", gzip(&root()), 4),
        // Its name says nothing.
        ("root.gz", zstd(&root()), 4),
        ("cpio", cpio(), 2),
        ("cpio.gz", gzip(&cpio()), 2),
        ("cpio.zst", zstd(&cpio()), 2),
        ("layout.tar", layout.archive(), 4),
        ("layout.tar.gz", gzip(&layout.archive()), 4),
    ];
    for (name, bytes, files) in sources {
        let path = place.source(name, &bytes);
        let (image, steps) = place.image(&path).unwrap();
        assert_eq!(image.check().unwrap().files, files, "{name}");
        assert_eq!(steps, [Step::Reading, Step::Unpacking, Step::Writing], "{name}");
        assert!(image.path().starts_with(&place.cache.directory));
        // An image is taken as it is.
        let again = place.image(image.path()).unwrap();
        assert_eq!((again.0.path(), again.1), (image.path(), vec![]));
    }
    let (image, steps) = place.image(layout.path()).unwrap();
    assert_eq!(image.check().unwrap().files, 4);
    assert_eq!(steps, [Step::Unpacking, Step::Writing]);
    assert_eq!(place.image(layout.path()).unwrap().1, []);
}

#[test]
fn an_image_is_made_once_for_all_that_have_the_same_bytes() {
    let place = Place::new();
    let one = place.source("one", &root());
    let (image, _) = place.image(&one).unwrap();
    let two = place.source("two", &root());
    let (other, steps) = place.image(&two).unwrap();
    assert_eq!((other.path(), steps), (image.path(), vec![Step::Reading]));
    let kept = place.cache.list().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].source, one.to_str().unwrap());
    assert_eq!(kept[0].bytes, image.length());
    place.cache.remove(&kept[0]).unwrap();
    assert!(place.cache.list().unwrap().is_empty());
    // Who has it goes on with it.
    assert!(image.check().is_ok());
    assert!(place.image(&one).unwrap().1.contains(&Step::Writing));
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let (one, two) = (Place::new(), Place::new());
    let bytes = |place: &Place| {
        let path = place.source("root", &root());
        fs::read(place.image(&path).unwrap().0.path()).unwrap()
    };
    assert!(bytes(&one) == bytes(&two));
}

#[test]
fn a_file_that_has_not_changed_is_not_read_again() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let old = SystemTime::now() - Duration::from_secs(60);
    // Its time of change is of now, and cannot be set: the stamp is not settled yet.
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    place.image(&path).unwrap();
    let stamp = files::Stamp::of(&File::open(&path).unwrap()).unwrap();
    assert_eq!(files::read(&place.cache.files(), &stamp), None);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(place.image(&path).unwrap().1, [Step::Reading]);
    assert_eq!(place.image(&path).unwrap().1, []);
    // Other bytes, the same length and the same time.
    let mut other = root();
    other[1024] ^= 1;
    fs::write(&path, other).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert!(place.image(&path).unwrap().1.contains(&Step::Reading));
}

#[test]
fn the_schema_is_current() {
    crate::schemas::hold("images-schema.json", &schemars::schema_for!(Vec<Kept>), SCHEMA_JSON);
}

#[test]
fn two_at_once_make_it_once() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (image, steps) = place.image(&path).unwrap();
                assert!(image.check().is_ok());
                written.fetch_add(usize::from(steps.contains(&Step::Writing)), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(written.into_inner(), 1);
    assert_eq!(place.names().len(), 2, "the image and its description");
}

#[test]
fn what_a_crash_left_is_begun_anew() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let digest = source::digest(&File::open(&path).unwrap(), &mut |_| {}).unwrap();
    fs::create_dir_all(&place.cache.directory).unwrap();
    // Half an image, and a whole one that another process has not named yet.
    fs::write(place.cache.name(&digest, "building"), [1; 100_000]).unwrap();
    let (image, _) = place.image(&path).unwrap();
    assert!(image.check().is_ok());
    assert!(!place.names().iter().any(|name| name.ends_with("building")));
    let left = place.cache.name("0", "building");
    fs::write(&left, b"x").unwrap();
    let locked = Building::begin(&place.cache.name("1", "building"), &mut |_| {}).unwrap();
    place.cache.clean();
    assert!(!left.exists());
    assert!(place.cache.name("1", "building").exists());
    drop(locked);
    assert!(!place.cache.name("1", "building").exists());
}

#[test]
fn an_image_that_was_cut_off_in_the_cache_is_made_anew() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let (image, _) = place.image(&path).unwrap();
    for length in [0, 100, 4096] {
        let kept = image.path().to_owned();
        // As root one may write it, whatever its mode is.
        fs::remove_file(&kept).unwrap();
        File::create(&kept).unwrap().set_len(length).unwrap();
        let (again, steps) = place.image(&path).unwrap();
        assert!(steps.contains(&Step::Writing), "{length}");
        assert!(again.check().is_ok());
    }
}

#[test]
fn what_cannot_be_a_root_is_said_and_leaves_nothing() {
    let place = Place::new();
    let mut cut = gzip(&root());
    cut.truncate(cut.len() - 20);
    let whole = root();
    for (name, bytes, part) in [
        ("empty", &b""[..], "is no root: it is empty"),
        ("text", &[b'x'; 600], "is no root: it is neither a tar, a cpio"),
        ("cut.gz", &cut, "ends in the middle"),
        ("cut.tar", &whole[..1536], "ends in the middle"),
        ("xz", b"\xfd7zXZ\0", "unpack it first, with 'xz -dk'"),
    ] {
        let path = place.source(name, bytes);
        let error = place.error(&path);
        assert!(error.contains(part) && error.contains(name), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = place.error(place.directory.path());
    assert!(error.contains("it is a root as it is"), "{error}");
    assert!(place.error(&place.directory.path().join("none")).ends_with("none: no such file"));
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn what_is_changed_between_its_digest_and_its_image_is_not_kept() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let other = archive(&[file("other", b"")]);
    let mut change = |progress: Progress| {
        if progress.step == Step::Unpacking {
            fs::write(&path, &other).unwrap();
        }
    };
    let error = place.cache.image(&path, &mut change).unwrap_err().to_string();
    assert!(error.ends_with("root.tar: was changed while it was read"), "{error}");
    assert!(place.cache.list().unwrap().is_empty());
}

/// A disk that is full after so many bytes.
struct Full(Cursor<Vec<u8>>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.position() as usize + bytes.len() > self.1 {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.0.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_full_disk_is_said_wherever_it_gets_full() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let found = source::look(&path).unwrap();
    let digest = source::digest(&File::open(&path).unwrap(), &mut |_| {}).unwrap();
    let build = |room: usize, scratch: &dyn Fn() -> io::Result<File>| {
        let mut output = Full(Cursor::new(Vec::new()), room);
        let built = source::build(&found, &digest, scratch, &mut output, &mut |_| {});
        built.map_err(|bad| bad.to_string())
    };
    let good = || tempfile::tempfile();
    assert_eq!(build(1 << 20, &good), Ok(None));
    for room in [0, 2000, 4096, 9000] {
        let error = build(room, &good).unwrap_err();
        assert!(error.starts_with("its files cannot be written to the cache: "), "{error}");
    }
    let full = || Err(io::ErrorKind::StorageFull.into());
    assert!(build(1 << 20, &full).unwrap_err().contains("cannot be written to the cache: "));
}

#[test]
fn an_image_can_be_made_into_a_file_of_its_own() {
    let place = Place::new();
    let path = place.source("root.tar", &root());
    let output = place.directory.path().join("out.erofs");
    let image = Cache::write(&path, &output, &mut |_| {}).unwrap();
    assert_eq!(image.check().unwrap().files, 4);
    let error = Cache::write(image.path(), &output, &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("is an image already"), "{error}");
    // What there was is still there.
    assert!(Image::open(&output).is_ok());
    let nowhere = place.directory.path().join("none/out.erofs");
    let error = Cache::write(&path, nowhere, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("cannot be made"), "{error}");
    assert!(place.names().is_empty());
}

#[test]
fn what_an_image_says_of_its_program_is_kept_with_it() {
    let place = Place::new();
    let text = r#"{"config": {"Env": ["A=1"], "Entrypoint": ["/run"], "WorkingDir": "/srv"}}"#;
    let layout = Written::of_image(&[root()], text);
    let archive = place.source("layout.tar", &layout.archive());
    for source in [layout.path(), &archive] {
        for _ in 0..2 {
            let (image, _) = place.image(source).unwrap();
            let said = image.configuration().unwrap();
            assert_eq!((&said.env[..], &*said.directory), (&["A=1".to_owned()][..], "/srv"));
            assert_eq!(said.entrypoint, ["/run"]);
        }
    }
    let (image, _) = place.image(&place.source("root.tar", &root())).unwrap();
    assert_eq!(image.configuration(), None);
    // Without its description an image is none of ours.
    let (image, _) = place.image(&archive).unwrap();
    fs::remove_file(image.path().with_extension("json")).unwrap();
    let (image, steps) = place.image(&archive).unwrap();
    assert!(image.configuration().is_some() && steps.contains(&Step::Writing));
}
