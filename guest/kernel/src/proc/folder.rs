//! Directories that are tables, and how a look-up finds what is in one.

use crate::fs::dentry::Dentry;
use crate::fs::filesystem::FileSystem;
use crate::fs::generated::{Directory, File, Generated, Link, Node};
use crate::fs::inode::{Inode, Kind, Meta};
use crate::fs::lower::LowerName;
use crate::fs::names::hash;
use crate::memory::{Text, try_box};
use crate::proc::links;
use crate::proc::subject::Subject;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use trapgate_uapi::Errno;
use trapgate_uapi::dirent::{DT_DIR, DT_LNK, DT_REG};

/// Writes a file's content.
pub type Read = fn(Subject, &mut Text) -> Result<(), Errno>;
/// Takes what was written to a file.
pub type Write = fn(Subject, &[u8]) -> Result<(), Errno>;

/// What a name stands for.
pub enum What {
    /// A directory.
    Folder(&'static Folder),
    /// A file that can be read.
    File(Read),
    /// A file that can be written, too.
    Writable(Read, Write),
    /// A symbolic link, whose path the function writes.
    Symlink(Read),
    /// A link to a file itself.
    Link(fn(Subject) -> Result<Arc<Dentry>, Errno>),
}

impl What {
    const fn dirent_type(&self) -> u8 {
        match self {
            What::Folder(_) => DT_DIR,
            What::File(_) | What::Writable(..) => DT_REG,
            What::Symlink(_) | What::Link(_) => DT_LNK,
        }
    }
}

/// A name in a table.
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// Its permissions.
    pub permissions: u32,
    /// What it stands for.
    pub what: What,
}

/// A directory.
pub struct Folder {
    /// Its names that are always there.
    pub entries: &'static [Entry],
    /// Those that are numbers, and come and go.
    pub numbers: Option<Numbers>,
}

/// Names that are numbers.
pub struct Numbers {
    /// The least that is there, from a number on.
    pub next: fn(Subject, u32) -> Option<u32>,
    /// What the file of a number is about.
    pub about: fn(Subject, u32) -> Subject,
    /// Its permissions.
    pub permissions: fn(Subject) -> u32,
    /// What each stands for.
    pub what: What,
}

/// A directory that everybody may list.
pub const fn folder(name: &'static str, folder: &'static Folder) -> Entry {
    Entry { name, permissions: 0o555, what: What::Folder(folder) }
}

/// A file that everybody may read.
pub const fn file(name: &'static str, read: Read) -> Entry {
    Entry { name, permissions: 0o444, what: What::File(read) }
}

/// A file that only the owner may read.
pub const fn private(name: &'static str, read: Read) -> Entry {
    Entry { name, permissions: 0o400, what: What::File(read) }
}

/// A directory of names that are always there.
pub const fn fixed(entries: &'static [Entry]) -> Folder {
    Folder { entries, numbers: None }
}

/// A file of which there is nothing to find out.
macro_rules! constant {
    ($name:expr, $text:expr) => {
        $crate::proc::folder::file($name, |_, text| text.add($text.as_bytes()))
    };
}
pub(crate) use constant;

/// The root of a tree.
///
/// # Errors
/// ENOMEM.
pub fn top(filesystem: &Arc<FileSystem>, folder: &'static Folder) -> Result<Node<Dentry>, Errno> {
    let meta = Meta { links: 2, ..Meta::at(filesystem.start(), 0o555, 0, 0) };
    let inode = Inode::over(filesystem, 1, Kind::Directory(None), meta)?;
    let filesystem = filesystem.clone();
    let root = Tabled { filesystem, folder, about: Subject::default(), number: 1 };
    Ok(Node { inode, generated: Some(Generated::Directory(try_box(root)?)) })
}

/// A directory that a table describes.
struct Tabled {
    filesystem: Arc<FileSystem>,
    folder: &'static Folder,
    about: Subject,
    number: u64,
}

impl Tabled {
    /// The inode's number of a name: its path decides it, and i386 has 32 bits for it.
    fn number_of(&self, name: &[u8]) -> u64 {
        let mixed = (self.number as u32).rotate_left(7) ^ hash(name);
        u64::from(mixed.wrapping_mul(0x9e37_79b1)).max(2)
    }

    fn node(
        &self,
        name: &[u8],
        what: &'static What,
        permissions: u32,
        about: Subject,
    ) -> Result<Node<Dentry>, Errno> {
        let number = self.number_of(name);
        let (kind, generated) = match *what {
            What::Folder(folder) => {
                let filesystem = self.filesystem.clone();
                let made = try_box(Tabled { filesystem, folder, about, number })?;
                (Kind::Directory(None), Some(Generated::Directory(made)))
            }
            What::File(read) => (Kind::Generated, Some(made(read, None, about)?)),
            What::Writable(read, write) => (Kind::Generated, Some(made(read, Some(write), about)?)),
            What::Symlink(path) => {
                let mut text = Text::default();
                path(about, &mut text)?;
                (Kind::Symlink(text.into_bytes()), None)
            }
            What::Link(target) => {
                let link: Box<dyn Link<Dentry>> = try_box(MadeLink { target, about })?;
                (Kind::MagicLink, Some(Generated::Link(link)))
            }
        };
        let links = if what.dirent_type() == DT_DIR { 2 } else { 1 };
        let meta = Meta { links, ..Meta::at(self.filesystem.start(), permissions, 0, 0) };
        let inode = Inode::over(&self.filesystem, number, kind, meta)?;
        inode.leave_access_time();
        Ok(Node { inode, generated })
    }
}

fn made(read: Read, write: Option<Write>, about: Subject) -> Result<Generated<Dentry>, Errno> {
    Ok(Generated::File(try_box(MadeFile { read, write, about })?))
}

/// The number that a name is, as it is written without need for another.
fn parse(name: &[u8]) -> Option<u32> {
    let is_plain = name.iter().all(u8::is_ascii_digit) && (name.len() == 1 || name[0] != b'0');
    if is_plain { str::from_utf8(name).ok()?.parse().ok() } else { None }
}

/// The first cookie of a name.
const FIRST: u64 = 2;

impl Directory<Dentry> for Tabled {
    fn look_up(&self, name: &[u8]) -> Result<Node<Dentry>, Errno> {
        let named = self.folder.entries.iter().find(|entry| entry.name.as_bytes() == name);
        if let Some(Entry { permissions, what, .. }) = named {
            return self.node(name, what, *permissions, self.about);
        }
        let numbers = self.folder.numbers.as_ref().ok_or(Errno::ENOENT)?;
        let number = parse(name).ok_or(Errno::ENOENT)?;
        if (numbers.next)(self.about, number) != Some(number) {
            return Err(Errno::ENOENT);
        }
        let about = (numbers.about)(self.about, number);
        self.node(name, &numbers.what, (numbers.permissions)(about), about)
    }

    fn list(&self, from: u64, take: &mut dyn FnMut(LowerName) -> bool) -> Result<u64, Errno> {
        let mut at = from.max(FIRST);
        let numbered = FIRST + self.folder.entries.len() as u64;
        while at < numbered {
            let Entry { name, what, .. } = &self.folder.entries[(at - FIRST) as usize];
            let (name, kind, next) = (name.as_bytes(), what.dirent_type(), at + 1);
            if !take(LowerName { name, number: self.number_of(name), kind, next }) {
                return Ok(at);
            }
            at = next;
        }
        let Some(numbers) = &self.folder.numbers else { return Ok(at) };
        while let Ok(from) = u32::try_from(at - numbered)
            && let Some(number) = (numbers.next)(self.about, from)
        {
            let mut text = Text::default();
            write!(text, "{number}")?;
            let (name, kind) = (text.bytes(), numbers.what.dirent_type());
            let next = numbered + u64::from(number) + 1;
            if !take(LowerName { name, number: self.number_of(name), kind, next }) {
                return Ok(next - 1);
            }
            at = next;
        }
        Ok(at)
    }
}

struct MadeFile {
    read: Read,
    write: Option<Write>,
    about: Subject,
}

impl File for MadeFile {
    fn read(&self, text: &mut Text) -> Result<(), Errno> {
        (self.read)(self.about, text)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        match self.write {
            Some(write) => write(self.about, bytes),
            // As Linux answers of a process's file, and of another.
            None if self.about.pid != 0 => Err(Errno::EINVAL),
            None => Err(Errno::EIO),
        }
    }
}

struct MadeLink {
    target: fn(Subject) -> Result<Arc<Dentry>, Errno>,
    about: Subject,
}

impl Link<Dentry> for MadeLink {
    fn target(&self) -> Result<Arc<Dentry>, Errno> {
        (self.target)(self.about)
    }

    fn text(&self) -> Result<Vec<u8>, Errno> {
        links::describe(&self.target()?)
    }
}
