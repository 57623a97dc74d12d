//! What archives' entries make of the tree.

use super::*;

const META: Meta = Meta { mode: 0o644, uid: 1, gid: 2, mtime: (3, 4) };

/// All paths of a tree, in order, with a letter for what each is.
pub(crate) fn listing(tree: &Tree) -> Vec<String> {
    fn walk(tree: &Tree, id: Id, path: &str, into: &mut Vec<String>) {
        let Kind::Directory(directory) = &tree.node(id).kind else { return };
        for (name, id) in directory.entries() {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            into.push(match &tree.node(id).kind {
                Kind::Directory(_) => format!("d {path}"),
                Kind::Regular(content) => format!("f {path} {}", content.length),
                Kind::Symlink(target) => {
                    format!("l {path} {}", String::from_utf8_lossy(target))
                }
                Kind::Character((major, minor)) => format!("c {path} {major},{minor}"),
                Kind::Block((major, minor)) => format!("b {path} {major},{minor}"),
                Kind::Fifo => format!("p {path}"),
                Kind::Socket => format!("s {path}"),
            });
            walk(tree, id, &path, into);
        }
    }
    let mut into = Vec::new();
    walk(tree, Tree::ROOT, "", &mut into);
    into
}

fn file(length: u64) -> Kind {
    Kind::Regular(Content { offset: 0, length })
}

fn directory() -> Kind {
    Kind::Directory(Directory::new())
}

fn link(target: &str) -> Kind {
    Kind::Symlink(target.as_bytes().into())
}

/// A tree of these entries; of files, the length is the entry's number.
fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for (number, path) in paths.iter().enumerate() {
        let kind = match path.split_once(" -> ") {
            Some((_, target)) => link(target),
            None if path.ends_with('/') => directory(),
            None => file(number as u64),
        };
        let path = path.split(" -> ").next().unwrap();
        tree.add(path.as_bytes(), META, kind).expect(path);
    }
    tree
}

#[test]
fn names_stay_inside_whatever_they_are() {
    for path in ["a/b", "/a/b", "//a//b", "./a/./b", "../../a/b", "a/../../a/b", "x/../a/b"] {
        let tree = tree(&[path]);
        let mut listing = listing(&tree);
        listing.retain(|line| line != "d /x");
        assert_eq!(listing, ["d /a", "f /a/b 0"], "{path}");
    }
}

#[test]
fn links_on_the_way_are_followed_inside() {
    let tree = tree(&[
        "lib -> usr/lib",
        "usr/lib/",
        "lib/a",
        "out -> ../../etc",
        "out/b",
        "abs -> /new/er",
        "abs/c",
        "usr/lib/up -> ..",
        "lib/up/d",
    ]);
    assert_eq!(
        listing(&tree),
        [
            "l /abs /new/er",
            "d /etc",
            "f /etc/b 4",
            "l /lib usr/lib",
            "d /new",
            "d /new/er",
            "f /new/er/c 6",
            "l /out ../../etc",
            "d /usr",
            "f /usr/d 8",
            "d /usr/lib",
            "f /usr/lib/a 2",
            "l /usr/lib/up ..",
        ]
    );
}

#[test]
fn links_in_a_circle_are_refused() {
    let mut tree = tree(&["a -> b", "b -> a", "self -> self"]);
    for path in ["a/x", "self/x"] {
        assert_eq!(tree.add(path.as_bytes(), META, file(0)), Err(Refused::Circle));
    }
    // The last name is not followed.
    tree.add(b"a", META, file(7)).unwrap();
    assert_eq!(listing(&tree), ["f /a 7", "l /b a", "l /self self"]);
}

#[test]
fn the_last_of_a_name_counts_and_directories_keep_what_is_in_them() {
    let tree = tree(&["a", "a", "d/x", "d/", "d/y", "f", "f/z", "g/h", "g", "l -> d", "l/"]);
    assert_eq!(
        listing(&tree),
        ["f /a 1", "d /d", "f /d/x 2", "f /d/y 4", "d /f", "f /f/z 6", "f /g 8", "d /l",]
    );
}

#[test]
fn the_root_has_an_entry_and_is_nothing_else() {
    let mut tree = Tree::new();
    for path in ["", ".", "./", "/", "..", "a/.."] {
        assert_eq!(tree.add(path.as_bytes(), META, directory()), Ok(Tree::ROOT), "{path}");
        assert_eq!(tree.add(path.as_bytes(), META, file(0)), Err(Refused::Root), "{path}");
    }
    assert_eq!(tree.node(Tree::ROOT).meta, META);
    assert_eq!(tree.add(b"a/.", META, Kind::Fifo), Err(Refused::NoName));
}

#[test]
fn hard_links_are_further_names() {
    let mut tree = tree(&["a", "d/", "l -> a"]);
    let a = tree.find(b"a").unwrap().unwrap();
    tree.link(b"d/b", a).unwrap();
    assert_eq!(tree.find(b"/d/../d/b"), Ok(Some(a)));
    let symlink = tree.find(b"l").unwrap().unwrap();
    tree.link(b"m", symlink).unwrap();
    let d = tree.find(b"d").unwrap().unwrap();
    assert_eq!(tree.link(b"e", d), Err(Refused::LinkToDirectory));
    assert_eq!(tree.find(b"none"), Ok(None));
    assert_eq!(listing(&tree), ["f /a 0", "d /d", "f /d/b 0", "l /l a", "l /m a"]);
}

#[test]
fn what_linux_has_no_room_for_is_refused() {
    let mut tree = Tree::new();
    let mut add = |path: &[u8], kind| tree.add(path, META, kind);
    assert!(add(&[b'a'; 255], file(0)).is_ok());
    assert_eq!(add(&[b'a'; 256], file(0)), Err(Refused::LongName));
    assert_eq!(add(&[&[b'a'; 256][..], b"/b"].concat(), file(0)), Err(Refused::LongName));
    assert_eq!(add(&b"b/".repeat(2048), directory()), Ok(2049));
    assert_eq!(add(&b"b/".repeat(2049), directory()), Err(Refused::LongPath));
    assert_eq!(add(b"a\0b", file(0)), Err(Refused::Nul));
    assert_eq!(add(b"l", link("")), Err(Refused::EmptyLink));
    assert_eq!(add(b"l", link("\0")), Err(Refused::Nul));
    assert_eq!(add(b"l", Kind::Symlink([b'x'; 4096].into())), Err(Refused::LongPath));
    // Deeper and deeper by a link.
    let deep = "b/".repeat(2000);
    assert!(add(b"short", link(&deep)).is_ok());
    assert_eq!(
        add(&[b"short/", &b"c/".repeat(49)[..]].concat(), directory()),
        Err(Refused::TooDeep)
    );
}

#[test]
fn a_whiteout_hides_what_is_below_its_layer_and_nothing_else() {
    // Whatever the order within the layer.
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut tree = tree(&["d/a", "d/b", "d/sub/x", "d/sub/y", "e/z"]);
        tree.begin_layer();
        for step in order {
            match step {
                0 => tree.hide_all(b"d").unwrap(),
                1 => drop(tree.add(b"d/sub/new", META, file(9)).unwrap()),
                _ => tree.hide(b"e/z").unwrap(),
            }
        }
        assert_eq!(listing(&tree), ["d /d", "d /d/sub", "f /d/sub/new 9", "d /e"], "{order:?}");
    }
}

#[test]
fn a_whiteout_of_what_is_not_there_or_was_made_in_this_layer_hides_nothing() {
    let mut tree = tree(&["a"]);
    tree.begin_layer();
    tree.hide(b"none").unwrap();
    tree.add(b"a", META, file(5)).unwrap();
    tree.hide(b"a").unwrap();
    tree.hide_all(b"").unwrap();
    assert_eq!(listing(&tree), ["f /a 5"]);
    tree.begin_layer();
    tree.hide_all(b"").unwrap();
    assert_eq!(listing(&tree), [""; 0]);
}
