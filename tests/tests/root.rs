//! Roots: the image of one in the guest's memory; programs in one; the images that
//! `trapgate image` makes.

use sha2::Digest;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use trapgate::Error;
use trapgate::boot::vdso::FastDoor;
use trapgate::boot::{self, Load, Start, kernel};
use trapgate::machine::image::MappedImage;
use trapgate::machine::kvm::vm;
use trapgate::machine::{Machine, Manner, Serve, Served};
use trapgate::mitigation::Hardening;
use trapgate_abi::boot_info::User;
use trapgate_abi::hypercall::{FailureKind, Malformed, Message, PORT, Request};
use trapgate_abi::layout::{Cpu, DIRECT_MAP, KERNEL_BASE};
use trapgate_loader::image;
use trapgate_tests::programs::{bytes, directory};
use trapgate_tests::{Case, Ran, busybox, needs_kvm, scale, trapgate};

const MEMORY: u64 = 4 << 20;

/// An image of a megabyte, a page and a byte, each of whose words is its own number.
const LENGTH: u64 = (1 << 20) + 4097;

fn image_file() -> File {
    let mut file = tempfile::tempfile().expect("room");
    let bytes: Vec<u8> = (0..LENGTH / 8 + 1).flat_map(|word| word.to_le_bytes()).collect();
    file.write_all(&bytes[..LENGTH as usize]).expect("room");
    file
}

/// Code that stands where the kernel would begin: it puts the words at these offsets in
/// the image, one after the other, into the host call page and makes a request each time.
fn reader(image: u64, offsets: &[u64]) -> Vec<u8> {
    let mut code = Vec::new();
    for offset in offsets {
        code.extend([0x48, 0xa1]); // mov rax, [address]
        code.extend((DIRECT_MAP + image + offset).to_le_bytes());
        code.extend([0x48, 0xa3]); // mov [address], rax
        code.extend((DIRECT_MAP + Cpu::FIRST.host_call_phys()).to_le_bytes());
        code.extend([0x66, 0xba]); // mov dx, port
        code.extend(PORT.to_le_bytes());
        code.push(0xee); // out dx, al
    }
    code
}

/// Code that writes a word of the image; with CR0.WP off page tables keep ring 0 from
/// nothing.
fn writer(image: u64, write_protect: bool) -> Vec<u8> {
    let mut code = Vec::new();
    if !write_protect {
        code.extend([0x0f, 0x20, 0xc0]); // mov rax, cr0
        code.extend([0x48, 0x0f, 0xba, 0xf0, 16]); // btr rax, 16
        code.extend([0x0f, 0x22, 0xc0]); // mov cr0, rax
    }
    code.extend([0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff]); // mov rax, -1
    code.extend([0x48, 0xa3]); // mov [address], rax
    code.extend((DIRECT_MAP + image).to_le_bytes());
    code
}

/// What the requests had in them; something is done before each answer.
struct Words<'a> {
    words: Vec<u64>,
    /// The kernel's handler of page faults has said that it was called.
    faulted: bool,
    wanted: usize,
    before: &'a mut dyn FnMut(),
}

impl Serve for Words<'_> {
    fn serve(&mut self, message: &Message) -> Result<Served, Malformed> {
        if let Ok(Request::Failed { kind: FailureKind::Fault, .. }) = Request::decode(message) {
            self.faulted = true;
            return Ok(Served::Stopped);
        }
        self.words.push(message[0]);
        if self.words.len() == self.wanted {
            return Ok(Served::Stopped);
        }
        (self.before)();
        Ok(Served::Reply(Box::new(*message)))
    }
}

/// A machine with the image, in which this code runs in place of the kernel. Answers the
/// words of its requests, `wanted` at most, and whether ring 0 has faulted.
fn run(
    file: File,
    code: impl FnOnce(u64) -> Vec<u8>,
    wanted: usize,
    before: &mut dyn FnMut(),
) -> (Vec<u64>, Result<bool, Error>) {
    let mapped = MappedImage::new("the image".to_owned(), file, MEMORY).expect("it is one");
    let kvm = vm::open().expect("KVM");
    let mut machine = Machine::with_image(&kvm, MEMORY, Some(mapped)).expect("a VM");
    let name = "hello-syscall";
    let bytes = bytes(name);
    let program = image::parse(bytes).expect("a program");
    let argv = [name.as_bytes().to_vec()];
    let vm = machine.vm();
    let start = Start {
        name,
        execfn: name.as_bytes(),
        load: Load::Here { image: &program, bytes },
        argv: &argv,
        envp: &[],
        seed: [7; 5],
        random_stock: &[],
        hwcap: vm.features.hwcap,
        hwcap2: 0,
        xcr0: vm.features.xcr0,
        features: boot::features(vm),
        cpus: machine.cpus(),
        root: machine.image(),
        disk: 0,
        dense: false,
        directory: b"",
        user: User::ROOT,
        mounts: &[],
        fast_door: FastDoor::Int80,
        log_level: 0,
        ignored_signals: 0,
        stamps: 0,
        traced: false,
        hardening: Hardening::NONE,
    };
    let kernel = kernel::PLAIN;
    let prepared = boot::prepare(machine.ram(), kernel, &start).expect("it fits");
    let entry = prepared.entry();
    let code = code(machine.image().start);
    machine.ram().write(entry.start - KERNEL_BASE, &code).expect("RAM");
    machine.begin(&entry).expect("it begins");
    let mut words = Words { words: Vec::new(), faulted: false, wanted, before };
    let manner = Manner { kernel, count: None, pass: &mut |_| false, look: &mut |_| {} };
    let ended = machine.run(&mut words, manner);
    (words.words, ended.map(|_| words.faulted))
}

#[test]
fn the_image_is_read_at_its_beginning_and_to_its_last_page() {
    needs_kvm!();
    let offsets = [0, 8, 4096, (1 << 20) - 8, 1 << 20, (1 << 20) + 4088, (1 << 20) + 4096];
    let (words, ended) =
        run(image_file(), |image| reader(image, &offsets), offsets.len(), &mut || {});
    assert!(!ended.expect("it was stopped"));
    let mut expected = offsets.map(|offset| offset / 8);
    // Behind the file's end there are zeroes.
    expected[6] &= 0xff;
    assert_eq!(words, expected);
}

#[test]
fn what_lies_behind_the_image_is_nothing() {
    needs_kvm!();
    let behind = (1 << 20) + 8192;
    let (words, ended) = run(image_file(), |image| reader(image, &[behind]), 1, &mut || {});
    assert!(words.is_empty(), "{words:x?}");
    assert!(ended.expect("the VM works"), "it is not mapped");
}

#[test]
fn the_image_cannot_be_written() {
    needs_kvm!();
    let file = image_file();
    let kept = || file.try_clone().expect("a descriptor");
    let (_, ended) = run(kept(), |image| writer(image, true), 1, &mut || {});
    assert!(ended.expect("the VM works"), "it is read-only in the page tables");
    // And where these are not asked.
    let (_, ended) = run(kept(), |image| writer(image, false), 1, &mut || {});
    assert!(matches!(ended, Err(Error::Stopped { .. })), "{ended:?}");
    let mut word = [7; 8];
    file.read_exact_at(&mut word, 0).expect("it is still there");
    assert_eq!(word, [0; 8]);
}

#[test]
fn an_image_that_is_truncated_while_it_is_used_ends_the_sandbox_with_that_reason() {
    needs_kvm!();
    let file = image_file();
    let kept = file.try_clone().expect("a descriptor");
    let mut truncate = || kept.set_len(4096).expect("it is ours");
    let offsets = [8, 1 << 20];
    let (words, ended) = run(file, |image| reader(image, &offsets), 2, &mut truncate);
    assert_eq!(words, [1]);
    let error = ended.expect_err("there is no such page");
    let text = "the image: was truncated while the program ran: the sandbox was ended";
    assert_eq!(error.to_string(), text);
    assert_eq!(error.status(), 125);
}

#[test]
fn an_image_that_is_written_while_it_is_used_is_read_as_it_is_then() {
    needs_kvm!();
    let file = image_file();
    let kept = file.try_clone().expect("a descriptor");
    let mut write = || kept.write_all_at(&[0xaa; 8], 8192).expect("it is ours");
    let (words, ended) = run(file, |image| reader(image, &[8192, 8192]), 2, &mut write);
    assert!(!ended.expect("it was stopped"));
    assert_eq!(words, [1024, 0xaaaa_aaaa_aaaa_aaaa]);
}

#[test]
fn what_happens_to_the_images_name_while_it_is_used_does_not_matter() {
    needs_kvm!();
    let place = directory();
    let (path, other) = (place.path().join("image"), place.path().join("other"));
    let mut bytes = vec![0; LENGTH as usize];
    image_file().read_exact_at(&mut bytes, 0).expect("ours");
    fs::write(&path, &bytes).expect("room");
    fs::write(&other, [0xff; 4096]).expect("room");
    let file = File::open(&path).expect("it is there");
    let mut replace = || {
        fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
        fs::rename(&other, &path).expect("ours");
        fs::remove_file(&path).expect("ours");
        fs::rename(place.path(), place.path().with_extension("moved")).expect("ours");
        fs::rename(place.path().with_extension("moved"), place.path()).expect("ours");
    };
    // What was not read before, too.
    let offsets = [8, (1 << 20) + 8];
    let (words, ended) = run(file, |image| reader(image, &offsets), 2, &mut replace);
    assert!(!ended.expect("it was stopped"));
    assert_eq!(words, offsets.map(|offset| offset / 8));
}

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
    for at in (1024 + 128..4096).step_by(73) {
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
    assert!(ran[0] > 5 && ran[1] > 0, "both ways were taken: {ran:?}");
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
fn without_a_place_for_the_cache_it_says_what_to_set() {
    let place = Place::new();
    let mut command = Command::new(trapgate());
    command.args(["image", "build", &place.path("root.tar")]).env_clear();
    let ran = Case::new("unused").start(command).finish(Duration::from_secs(60));
    ran.expect_in_stderr("set TRAPGATE_CACHE to a directory").expect_status(125);
}
