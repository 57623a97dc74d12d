//! Roots: programs in one; the images that `trapgate image` makes.

use nix::pty::{Winsize, openpty};
use sha2::Digest;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use trapgate_tests::programs::{bytes, directory};
use trapgate_tests::{Case, Ran, busybox, needs_kvm, rounds, scale, trapgate};

/// A tar of files that can be executed.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000755\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(*data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A directory with a root in it, `root.tar`, and a cache.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(directory());
        let hello = bytes("hello-syscall");
        place.write("root.tar", &tar_of(&[("usr/bin/hello", hello), ("data", b"no program")]));
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("ASCII").to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("room");
    }

    /// Runs `trapgate` with these words.
    fn trapgate(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(trapgate());
        command.args(words).env("TRAPGATE_CACHE", self.path("cache"));
        let limit = Duration::from_secs(scale(20, 60, 200));
        Case::new("unused").start(command).finish(limit)
    }

    /// Runs a program in the root.
    fn run(&self, words: &[&str]) -> Ran {
        let root = self.path("root.tar");
        self.trapgate(&[&["run", "--root", &root], words].concat())
    }
}

#[test]
fn a_program_runs_that_is_in_the_root() {
    needs_kvm!();
    let place = Place::new();
    for name in ["hello", "usr/bin/hello", "/usr/bin/hello", "usr/../usr/bin/hello"] {
        let ran = place.run(&[name]);
        ran.expect_status(0).expect_stdout("Hello from ring 3 by SYSCALL.\n");
        ran.expect(ran.stderr.is_empty(), "nothing on stderr");
    }
    // By its own PATH.
    place.run(&["-e", "PATH=/usr/bin", "hello"]).expect_status(0);
    place.run(&["-e", "PATH=/bin", "hello"]).expect_status(127);
}

#[test]
fn a_root_of_a_recipe_is_relative_to_it_and_a_roots_option_replaces_it() {
    needs_kvm!();
    let place = Place::new();
    place.write("r.toml", b"program = 'hello'\nroot = 'root.tar'\n");
    let recipe = place.path("r.toml");
    place.trapgate(&["run", &recipe]).expect_status(0);
    place.write("other.tar", &tar_of(&[("data", b"")]));
    let other = place.path("other.tar");
    let ran = place.trapgate(&["run", "--root", &other, &recipe]);
    ran.expect_status(127).expect_in_stderr("hello: no such file in the root's PATH");
    place.write("without.toml", b"program = 'hello'\n");
    let ran = place.trapgate(&["run", "--root", &other, &place.path("without.toml")]);
    ran.expect_status(125).expect_in_stderr("the recipe has no root");
}

#[test]
fn what_is_no_program_in_the_root_is_said_with_its_status() {
    let place = Place::new();
    for (words, status, part) in [
        (&["none"][..], 127, "none: no such file in the root's PATH, /usr/local/sbin:"),
        (&["/none"], 127, "/none: no such file in the root"),
        (&["/usr"], 126, "/usr: is a directory, not a program"),
        (&["/data"], 126, "/data: is no program that can run here"),
    ] {
        let ran = place.run(words);
        ran.expect_in_stderr(part);
        ran.is_refusal(status).unwrap_or_else(|text| ran.fail(&text));
    }
}

#[test]
fn a_program_of_the_hosts_is_run_with_its_libraries_as_its_root() {
    needs_kvm!();
    let place = Place::new();
    place.write("prog", bytes("hello-syscall"));
    fs::set_permissions(place.path("prog"), Permissions::from_mode(0o755)).expect("ours");
    let ran = place.trapgate(&["run", "--with-libs", &place.path("prog")]);
    ran.expect_status(0).expect_stdout("Hello from ring 3 by SYSCALL.\n");
    let ran = place.trapgate(&["run", "--with-libs", &place.path("root.tar")]);
    ran.expect_in_stderr("root.tar: is no ELF file");
    let root = place.path("root.tar");
    place.trapgate(&["run", "--with-libs", "--root", &root, "hello"]).expect_status(125);
}

/// Writes a layout of an image with this layer and this configuration.
fn write_layout(place: &Place, layer: &[u8], configuration: &str) {
    fs::create_dir_all(place.path("layout/blobs/sha256")).expect("room");
    place.write("layout/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let blob = |media_type: &str, bytes: &[u8]| {
        let digest: String =
            sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        place.write(&format!("layout/blobs/sha256/{digest}"), bytes);
        let size = bytes.len();
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#)
    };
    let layer = blob("application/vnd.oci.image.layer.v1.tar", layer);
    let config = blob("application/vnd.oci.image.config.v1+json", configuration.as_bytes());
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#);
    place.write("layout/index.json", index.as_bytes());
}

#[test]
fn a_program_in_a_root_has_path_and_home_whatever_the_root_is() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    let busybox = fs::read(busybox).expect("it is there");
    fs::create_dir_all(place.path("dir/bin")).expect("room");
    place.write("dir/bin/busybox", &busybox);
    let executable = Permissions::from_mode(0o755);
    fs::set_permissions(place.path("dir/bin/busybox"), executable).expect("a file of one's own");
    let passwd = b"root:x:0:0::/root:\n";
    let files = [("bin/busybox", &busybox[..]), ("etc/passwd", passwd)];
    place.write("root.tar", &tar_of(&files));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    for (root, home) in [("dir", "HOME=/\n"), ("root.tar", "HOME=/root\n")] {
        let root = place.path(root);
        let run = |words: &[&str]| place.trapgate(&[&["run", "--root", &root], words].concat());
        let ran = run(&["busybox", "env"]);
        ran.expect_status(0).expect_stdout([path, home].concat());
        let ran = run(&["-e", "PATH=/bin", "-e", "HOME=/x", "busybox", "env"]);
        ran.expect_status(0).expect_stdout("PATH=/bin\nHOME=/x\n");
    }
}

#[test]
fn an_oci_image_is_run_as_it_says() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    let busybox = fs::read(busybox).expect("it is there");
    let passwd = b"root:x:0:0::/root:\nweb:x:33:34::/var/www:\n";
    let layer = tar_of(&[("opt/bin/busybox", &busybox), ("etc/passwd", passwd)]);
    let configuration = r#"{"config":{"Entrypoint":["busybox"],"Cmd":["env"],"User":"web",
        "Env":["PATH=/opt/bin","A=1"],"WorkingDir":"/srv/new"}}"#;
    write_layout(&place, &layer, configuration);
    let root = place.path("layout");
    let run = |words: &[&str]| place.trapgate(&[&["run", "--root", &root], words].concat());
    let expected = "PATH=/opt/bin\nA=1\nHOME=/var/www\n";
    run(&[]).expect_status(0).expect_stdout(expected);
    // Out of the cache.
    let ran = run(&["-e", "A=2"]);
    ran.expect_status(0).expect_stdout("PATH=/opt/bin\nHOME=/var/www\nA=2\n");
    run(&["pwd"]).expect_status(0).expect_stdout("/srv/new\n");
    run(&["--workdir", "/tmp", "pwd"]).expect_status(0).expect_stdout("/tmp\n");
    run(&["id", "-u"]).expect_status(0).expect_stdout("33\n");
    run(&["-u", "7:8", "id", "-g"]).expect_status(0).expect_stdout("8\n");
    let ran = run(&["--entrypoint", "", "busybox", "echo", "x"]);
    ran.expect_status(0).expect_stdout("x\n");
    let ran = run(&["--entrypoint", "/opt/bin/busybox"]);
    ran.expect(ran.stdout.starts_with(b"BusyBox"), "busybox without an applet says what it is");
    for (words, part) in [
        (&["--entrypoint", ""][..], "no program"),
        (&["--user", "nobody", "id"], "'nobody' is no number, and the root's /etc/passwd"),
    ] {
        let ran = run(words);
        ran.expect_in_stderr(part);
        ran.is_refusal(125).unwrap_or_else(|text| ran.fail(&text));
    }
}

#[test]
fn a_damaged_image_is_an_error_of_the_calls_that_meet_it() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    let busybox = fs::read(busybox).expect("it is there");
    let text = [b'x'; 300];
    place.write("b.tar", &tar_of(&[("bin/busybox", &busybox), ("etc/a", &text), ("etc/b", &text)]));
    let image = place.path("b.erofs");
    place.trapgate(&["image", "build", &place.path("b.tar"), "-o", &image]).expect_status(0);
    let mut good = fs::read(&image).expect("it was made");
    // No checksum, which would be all that is seen.
    good[1024 + 8] &= !1;
    let mut ran = [0; 2];
    for at in (1024 + 128..4096).step_by(rounds(146, 73)) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        fs::write(&image, &bad).expect("room");
        let end = place
            .trapgate(&["run", "--root", &image, "busybox", "grep", "-rc", "x", "/etc", "/bin"]);
        // The image is none, or no program is found in it; or it runs, what it meets is an
        // error to it, and other bytes than its own may kill it. Nothing else ends the sandbox.
        let text = end.stderr_text();
        let is_said = text.starts_with("trapgate: ") && text.lines().count() == 1;
        let is_refused = matches!(end.status, 125..=127) && is_said && !text.contains("kernel");
        let is_killed = end.status > 128 && text.contains("killed by");
        let is_fine = is_refused || is_killed || end.status <= 2;
        end.expect(is_fine, "an error of the image, or of a call");
        ran[usize::from(is_refused)] += 1;
    }
    assert!(ran[0] > 2 && ran[1] > 0, "both ways were taken: {ran:?}");
}

#[test]
fn a_crash_names_the_function_and_the_file_of_the_root_that_it_is_in() {
    needs_kvm!();
    let place = Place::new();
    place.write("crash.tar", &tar_of(&[("usr/bin/crash", bytes("crash"))]));
    fs::create_dir_all(place.path("directory/bin")).expect("room");
    place.write("directory/bin/crash", bytes("crash"));
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(place.path("directory/bin/crash"), mode).expect("it is ours");
    for (root, path) in [("crash.tar", "/usr/bin/crash"), ("directory", "/bin/crash")] {
        let ran = place.trapgate(&["run", "--root", &place.path(root), path, "null-read"]);
        ran.expect_status(139).expect_in_stderr("<crash::null_read+0x");
        ran.expect_in_stderr(&format!(" in {path}>"));
    }
    // Without symbols there are the file and the place in it.
    let bind = format!("{}:/x", place.path("directory/bin"));
    let mut stripped = bytes("crash").to_vec();
    // No section, so no symbols: e_shoff, and e_shnum with e_shstrndx.
    stripped[0x28..0x30].fill(0);
    stripped[0x3c..0x40].fill(0);
    place.write("directory/bin/crash", &stripped);
    let ran = place.trapgate(&[
        "run",
        "--root",
        &place.path("directory"),
        "--bind",
        &bind,
        "/x/crash",
        "null-read",
    ]);
    ran.expect_status(139).expect_in_stderr("</x/crash+0x");
}

/// What /proc/PID/smaps says of mappings whose path has this in it: the sums of some of its
/// fields, in KiB.
fn smaps<const N: usize>(pid: u32, path: &str, fields: [&str; N]) -> [u64; N] {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("it runs");
    let (mut sums, mut counts) = ([0; N], false);
    for line in text.lines() {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        match fields.iter().position(|field| name.strip_suffix(':') == Some(*field)) {
            // A mapping begins with its addresses.
            None if !name.ends_with(':') => counts = line.contains(path),
            Some(field) if counts => {
                let number = rest.trim().trim_end_matches(" kB");
                sums[field] += number.parse::<u64>().expect("KiB");
            }
            _ => {}
        }
    }
    sums
}

/// A sandbox that has copied a line from its input to its output, and waits for the next.
struct Waiting(std::process::Child);

impl Waiting {
    fn begin(place: &Place, root: &str) -> Waiting {
        let mut command = Command::new(trapgate());
        command.args(["run", "--dense", "--no-aslr", "--root", root, "busybox", "cat"]);
        command.env("TRAPGATE_CACHE", place.path("cache"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ours");
        child.stdin.as_mut().expect("piped").write_all(b"line\n").expect("it reads");
        let mut line = [0; 5];
        child.stdout.as_mut().expect("piped").read_exact(&mut line).expect("it answers");
        Waiting(child)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_dense_sandboxes_share_all_that_they_read_of_their_image() {
    needs_kvm!();
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    let busybox = fs::read(busybox).expect("it is there");
    place.write("busybox.tar", &tar_of(&[("bin/busybox", &busybox)]));
    let root = place.path("busybox.tar");
    place.trapgate(&["image", "build", &root]).expect_status(0);
    let one = Waiting::begin(&place, &root);
    let [alone] = smaps(one.0.id(), ".erofs", ["Rss"]);
    assert!(alone >= 100, "{alone} KiB of busybox are mapped");
    let two = Waiting::begin(&place, &root);
    let fields = ["Rss", "Pss", "Anonymous"];
    let [first, second] = [&one, &two].map(|sandbox| smaps(sandbox.0.id(), ".erofs", fields));
    // Half of each page is either's. What one alone has read is a fault's surroundings.
    let (most, together) = (first[0].max(second[0]), first[1] + second[1]);
    assert!(together <= most + 64, "{together} KiB are resident for {first:?} and {second:?}");
    assert_eq!((first[2], second[2]), (0, 0), "nothing of it is copied");
    let [large] = smaps(two.0.id(), "", ["AnonHugePages"]);
    assert_eq!(large, 0, "KiB in large pages");
}

#[test]
fn files_in_memory_have_the_room_that_is_given_to_them() {
    needs_kvm!();
    let place = Place::new();
    let Some(busybox) = busybox() else { return };
    let busybox = busybox.to_str().expect("UTF-8");
    let ran = place.trapgate(&["run", "--disk", "257M", "-m", "256M", busybox]);
    ran.expect_in_stderr("the disk, 257 MiB, is larger than the memory");
    ran.is_refusal(125).unwrap_or_else(|text| ran.fail(&text));
    let run = |words: &[&str]| {
        place.trapgate(&[&["run", "--disk", "1M", "-m", "64M", busybox], words].concat())
    };
    let ran = run(&["stat", "-f", "-c", "%b", "/", "/tmp", "/dev/shm"]);
    ran.expect_status(0).expect_stdout("256\n256\n256\n");
    let ran = run(&["dd", "if=/dev/zero", "of=/tmp/file", "bs=64k", "count=17"]);
    ran.expect_status(1).expect_in_stderr("No space left on device");
    run(&["dd", "if=/dev/zero", "of=/tmp/file", "bs=64k", "count=16"]).expect_status(0);
}

#[test]
fn what_is_no_root_is_said_in_a_line() {
    let place = Place::new();
    place.write("text", b"hello");
    place.write("cut.tar", &fs::read(place.path("root.tar")).expect("ours")[..600]);
    for (root, part) in [
        ("none", "none: no such file"),
        ("text", "text: is no root: it is neither a tar"),
        ("cut.tar", "cut.tar: entry 'usr/bin/hello': ends in the middle"),
        ("root.tar/none", "root.tar/none: cannot be read: Not a directory"),
    ] {
        let ran = place.trapgate(&["run", "--root", &place.path(root), "hello"]);
        ran.expect_in_stderr(part);
        ran.is_refusal(125).unwrap_or_else(|text| ran.fail(&text));
    }
}

#[test]
fn images_are_made_listed_checked_and_removed() {
    let place = Place::new();
    let (root, image) = (place.path("root.tar"), place.path("root.erofs"));
    let built = place.trapgate(&["image", "build", &root]);
    built.expect_status(0);
    let kept = built.stdout_text().trim().to_owned();
    built.expect(kept.starts_with(&place.path("cache")), "its path in the cache");
    let ran = place.trapgate(&["image", "build", &root, "-o", &image]);
    ran.expect_status(0).expect_stdout(format!("{image}\n"));
    assert!(fs::read(&image).expect("it is there") == fs::read(&kept).expect("it is there"));
    place.trapgate(&["image", "check", &image]).expect_status(0);
    let ran = place.trapgate(&["image", "check", &root]);
    ran.expect_status(1).expect(ran.stdout.is_empty(), "nothing on stdout");
    place.trapgate(&["image", "check", &place.path("none")]).expect_status(125);
    let list = place.trapgate(&["image", "ls", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert_eq!(list[0]["source"], root);
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let digest = list[0]["digest"].as_str().expect("text");
    let ran = place.trapgate(&["image", "ls"]);
    ran.expect(ran.stdout_text().contains(&digest[..12]), "its digest's beginning");
    place.trapgate(&["image", "rm", "x"]).expect_status(125);
    place.trapgate(&["image", "rm", &digest[..12]]).expect_status(0);
    assert!(!Path::new(&kept).exists());
    place.trapgate(&["image", "build", &root]).expect_status(0);
    place.trapgate(&["image", "rm", "--all"]).expect_status(0);
    assert!(!Path::new(&kept).exists());
}

#[test]
fn the_making_of_an_image_is_shown_on_a_terminal_when_it_takes_long() {
    let place = Place::new();
    let root = place.path("root.tar");
    let kept = place.trapgate(&["image", "build", &root]).stdout_text().trim().to_owned();
    // Somebody else makes it, as far as anybody can see.
    let others = || {
        fs::remove_file(&kept).expect("it was made");
        let building = Path::new(&kept).with_extension("building");
        let file = File::create(building).expect("a place in the cache");
        file.lock().expect("nobody else has it");
        file
    };
    let lock = others();
    let ends = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(lock);
    });
    let ran = place.trapgate(&["image", "build", &root]);
    ran.expect_status(0).expect(ran.stderr.is_empty(), "nothing, where there is no terminal");
    ends.join().expect("it sleeps");

    let lock = others();
    let size = Winsize { ws_row: 25, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("there are pseudo-terminals");
    let mut command = Command::new(trapgate());
    command.args(["image", "build", &root]).env("TRAPGATE_CACHE", place.path("cache"));
    command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(terminal.slave).spawn().expect("ours");
    // Its own copy of the terminal goes with the command.
    drop(command);
    let (mut master, mut shown) = (File::from(terminal.master), Vec::new());
    let mut see = |part: &str| {
        while !String::from_utf8_lossy(&shown).contains(part) {
            let mut bytes = [0; 1000];
            let text = String::from_utf8_lossy(&shown).into_owned();
            let count = master.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{part} was not shown: {text:?}");
            shown.extend(&bytes[..count]);
        }
    };
    see(&format!("waiting for another trapgate that makes the image of {root}"));
    thread::sleep(Duration::from_millis(1100));
    drop(lock);
    see(" %  making the image of");
    assert!(child.wait().expect("ours").success());
}

#[test]
fn without_a_place_for_the_cache_it_says_what_to_set() {
    let place = Place::new();
    let mut command = Command::new(trapgate());
    command.args(["image", "build", &place.path("root.tar")]).env_clear();
    let ran = Case::new("unused").start(command).finish(Duration::from_secs(60));
    ran.expect_in_stderr("set TRAPGATE_CACHE to a directory").expect_status(125);
}
