//! A vCPU's state as data: saved in the middle, and loaded into a new VM beside a
//! copy of the RAM, the program goes on as if nothing had been.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::Duration;
use trapgate::boot::vdso::FastDoor;
use trapgate::boot::{self, Load, Prepared, Start, kernel};
use trapgate::host::Services;
use trapgate::machine::kvm::{CpuState, vm};
use trapgate::machine::memory::GuestRam;
use trapgate::machine::{Control, GuestEnd, Limits, Machine, Manner, Serve, Served};
use trapgate::mitigation::Hardening;
use trapgate::{Error, Policy};
use trapgate_abi::boot_info::User;
use trapgate_abi::hypercall::{Malformed, Message, Request};
use trapgate_abi::layout::USER_END;
use trapgate_loader::image;
use trapgate_tests::programs::bytes;
use trapgate_tests::{Case, needs_kvm, program, scale};

const MEMORY: u64 = 4 << 20;

/// What the program does after it has said that it is ready, for some tenths of a
/// second at least.
fn rounds() -> u64 {
    scale(300_000_000, 30_000_000, 5_000_000)
}

/// A machine with the program in it that writes into `output`.
fn machine_with(program: &str, arguments: &[&str]) -> (Machine, Prepared) {
    let mut machine = Machine::new(&vm::open().expect("KVM"), MEMORY).expect("a VM");
    let bytes = bytes(program);
    let image = image::parse(bytes).expect("a program");
    let argv: Vec<_> =
        std::iter::once(&program).chain(arguments).map(|text| text.as_bytes().to_vec()).collect();
    let vm = machine.vm();
    let start = Start {
        name: program,
        execfn: program.as_bytes(),
        load: Load::Here { image: &image, bytes },
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
    let prepared = boot::prepare(machine.ram(), kernel::PLAIN, &start).expect("it fits");
    machine.begin(&prepared.entry()).expect("the state is one");
    (machine, prepared)
}

fn services(machine: &Machine, output: &File) -> Services {
    let output = output.try_clone().expect("a descriptor");
    let files = [None, Some(output), None];
    Services::new(machine.ram().clone(), Policy::default(), files, machine.control().clone())
}

/// Where the program is stopped.
enum Point {
    /// At its first request to write, which has been served.
    Request,
    /// When whoever hears of that request sees fit.
    Later(Sender<()>),
}

struct Until {
    services: Services,
    point: Point,
    control: Arc<Control>,
}

impl Serve for Until {
    fn serve(&mut self, message: &Message) -> Result<Served, Malformed> {
        let served = self.services.serve(message)?;
        if let Request::Write { .. } = Request::decode(message)? {
            match &self.point {
                Point::Request => _ = self.control.stop(),
                Point::Later(ready) => _ = ready.send(()),
            }
        }
        Ok(served)
    }
}

/// Runs it to its end, or until it is stopped.
fn run(machine: &mut Machine, services: &mut dyn Serve) -> Result<GuestEnd, Error> {
    let manner =
        Manner { kernel: kernel::PLAIN, count: None, pass: &mut |_| false, look: &mut |_| {} };
    machine.run(services, manner).map(|ended| ended.end)
}

/// Everything that is in RAM.
fn copy_of(ram: &GuestRam) -> Vec<u8> {
    let mut bytes = vec![0; MEMORY as usize];
    ram.read(0, &mut bytes).expect("it is RAM");
    bytes
}

/// Runs the program up to there: the state of its CPU, and its RAM.
fn stopped_at(point: Point, ready: Option<Receiver<()>>, output: &File) -> (CpuState, Vec<u8>) {
    let (machine, prepared) = machine_with("carry-on", &[&rounds().to_string()]);
    let services = services(&machine, output);
    let (clock, _) = machine.clock().expect("a clock");
    prepared.finish(machine.ram(), clock, services.describe_files()).expect("it is RAM");
    let mut until = Until { services, point, control: machine.control().clone() };
    let thread = machine.spawn(Limits::default(), move |machine| {
        let end = run(machine, &mut until)?;
        assert!(matches!(end, GuestEnd::Stopped), "it was to be stopped");
        Ok((machine.save()?, copy_of(machine.ram())))
    });
    let thread = thread.expect("a thread");
    if let Some(ready) = ready {
        ready.recv().expect("it says that it is ready");
        sleep(Duration::from_millis(20));
        thread.kill_handle().kill();
    }
    thread.join().0.expect("a state")
}

/// The status with which it ends when it goes on in a new VM.
fn goes_on(state: &CpuState, ram: &[u8], output: &File) -> u8 {
    let mut machine = Machine::new(&vm::open().expect("KVM"), MEMORY).expect("a VM");
    machine.ram().write(0, ram).expect("it is RAM");
    machine.load(state).expect("the state is one");
    let mut services = services(&machine, output);
    match run(&mut machine, &mut services).expect("it goes on") {
        GuestEnd::Request(Request::Exit { status }, _) => status,
        GuestEnd::Request(request, _) => panic!("it ends by {request:?}"),
        GuestEnd::Stopped => panic!("nobody stops it"),
    }
}

/// What is in the file, and what the program writes when nobody disturbs it.
fn written(mut output: File) -> [String; 2] {
    let mut text = String::new();
    output.seek(SeekFrom::Start(0)).expect("a file");
    output.read_to_string(&mut text).expect("text");
    let program = program("carry-on");
    let undisturbed = Case::new(&program).args([rounds().to_string()]).native();
    [text, undisturbed.stdout_text()]
}

#[test]
fn a_program_goes_on_in_a_new_vm_from_the_middle_of_a_computation() {
    needs_kvm!();
    let output = tempfile::tempfile().expect("a file");
    let (sender, ready) = channel();
    let (state, ram) = stopped_at(Point::Later(sender), Some(ready), &output);
    assert_eq!(state.sregs.cs.dpl, 3, "it was to be computing: {:#x}", state.regs.rip);
    assert!(state.regs.rip < USER_END, "{:#x}", state.regs.rip);
    assert_eq!(goes_on(&state, &ram, &output), 0);
    let [disturbed, undisturbed] = written(output);
    assert_eq!(disturbed, undisturbed);
}

#[test]
fn a_program_goes_on_in_a_new_vm_from_a_request_to_the_host() {
    needs_kvm!();
    let output = tempfile::tempfile().expect("a file");
    let (state, ram) = stopped_at(Point::Request, None, &output);
    assert_eq!(state.sregs.cs.dpl, 0, "it was to be in the kernel: {:#x}", state.regs.rip);
    // A state is good for more than one machine.
    let before = output.try_clone().expect("a descriptor");
    let length = before.metadata().expect("a file").len();
    for _ in 0..2 {
        before.set_len(length).expect("a file");
        (&before).seek(SeekFrom::Start(length)).expect("a file");
        assert_eq!(goes_on(&state, &ram, &output), 0);
    }
    let [disturbed, undisturbed] = written(output);
    assert_eq!(disturbed, undisturbed);
}

#[test]
fn what_a_kernel_starts_with_is_otherwise_as_after_a_reset() {
    needs_kvm!();
    let mut machine = Machine::new(&vm::open().expect("KVM"), MEMORY).expect("a VM");
    let reset = machine.save().expect("a state");
    let (mut machine, _prepared) = machine_with("carry-on", &[]);
    let begun = machine.save().expect("a state");
    let rest = |CpuState { sregs, .. }: CpuState| {
        (sregs.cr2, sregs.cr8, sregs.apic_base, sregs.interrupt_bitmap)
    };
    assert_eq!(rest(begun), rest(reset));
}
