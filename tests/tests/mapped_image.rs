//! A root's image in the guest's memory: what ring 0 can do with it, and what happens when
//! somebody changes its file.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
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
use trapgate_tests::needs_kvm;
use trapgate_tests::programs::{bytes, directory};

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
        program: None,
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
