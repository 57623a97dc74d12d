//! Waiting: what is watched, what is told, and that nothing else waits.

use super::*;
use crate::host::raw::Way;
use crate::host::wait::Source;
use crate::host::worker::{Put, Work};
use crate::machine::kvm::kick;
use rustix::event::PollFlags;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::fcntl_setpipe_size;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use trapgate_abi::event::{Event, MAX_EVENTS, MAX_WATCH, WatchEntry};
use trapgate_abi::hypercall::{NEVER, push_watch};

const IN: u16 = PollFlags::IN.bits();
const OUT: u16 = PollFlags::OUT.bits();

/// Longer than anything here takes that does not wait.
const SOON: Duration = Duration::from_secs(5);

fn watch(arm: bool, entries: &[(u32, u16, u32)]) -> Message {
    let mut request = message(Request::Watch { arm }, &[]);
    for &(file, mask, generation) in entries {
        assert!(push_watch(&mut request, WatchEntry { file, mask, generation }));
    }
    request
}

/// What happens within so long, in nanoseconds.
fn events(services: &mut Services, timeout_ns: u64) -> Vec<Event> {
    let reply = reply(services, &message(Request::Wait { timeout_ns }, &[]));
    assert!(reply[0] <= MAX_EVENTS as u64, "{:#x}", reply[0]);
    let (words, _) = reply[1..].as_chunks();
    words[..reply[0] as usize].iter().map(|words| Event::decode(*words).unwrap()).collect()
}

fn file(descriptor: impl Into<OwnedFd>) -> Option<File> {
    Some(File::from(descriptor.into()))
}

#[test]
fn a_stopped_sandbox_does_not_begin_to_wait() {
    let mut services = services([None, None, None]);
    services.control.stop();
    for timeout_ns in [0, 1, NEVER] {
        let wait = message(Request::Wait { timeout_ns }, &[]);
        assert!(matches!(services.serve(&wait), Ok(Served::Stopped)));
    }
}

#[test]
fn a_stop_or_a_signal_ends_a_wait_without_a_kick() {
    let mut services = services([None, None, None]);
    let control = services.control.clone();
    let start = Instant::now();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        control.post(15);
        thread::sleep(Duration::from_millis(20));
        control.stop();
    });
    assert_eq!(events(&mut services, NEVER), [Event::Signal { number: 15 }]);
    let wait = message(Request::Wait { timeout_ns: NEVER }, &[]);
    assert!(matches!(services.serve(&wait), Ok(Served::Stopped)));
    assert!(start.elapsed() < SOON);
    other.join().unwrap();
}

#[test]
fn a_wait_is_as_long_as_it_was_to_be() {
    let mut services = services([None, None, None]);
    for timeout_ns in [1, 1_000, 20_000_000] {
        let start = Instant::now();
        assert_eq!(events(&mut services, timeout_ns), []);
        assert!(start.elapsed() >= Duration::from_nanos(timeout_ns));
    }
}

#[test]
fn who_may_not_sleep_may_wait_for_files_and_for_ever() {
    let (input, mut inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    services.policy.deny(&[Grant::Clock]);
    let sleep = message(Request::Wait { timeout_ns: 1 }, &[]);
    assert_eq!(reply(&mut services, &sleep)[0], errno(Errno::EPERM));
    assert_eq!(events(&mut services, 0), []);
    assert_eq!(reply(&mut services, &watch(true, &[(0, IN, 7)]))[0], 0);
    assert_eq!(events(&mut services, 1), []);
    inp.write_all(b"x").unwrap();
    assert_eq!(events(&mut services, NEVER), [Event::Ready { file: 0, mask: IN, generation: 7 }]);
    // It was told of: nothing is watched any more.
    assert_eq!(reply(&mut services, &sleep)[0], errno(Errno::EPERM));
    let refused = Policy::only([]);
    services.policy = refused;
    assert_eq!(reply(&mut services, &watch(true, &[(0, IN, 7)]))[0], errno(Errno::EPERM));
}

#[test]
fn who_may_not_read_is_not_told_that_there_is_something_by_any_file() {
    let (terminal, mut keys) = UnixStream::pair().unwrap();
    let mut services = services([None, file(terminal), None]);
    services.policy.deny(&[Grant::Stdin]);
    let input = IN | (PollFlags::RDNORM | PollFlags::RDBAND | PollFlags::PRI).bits();
    keys.write_all(b"x").unwrap();
    assert_eq!(reply(&mut services, &watch(true, &[(1, input, 1)]))[..2], [0, 0]);
    keys.write_all(b"x").unwrap();
    assert_eq!(events(&mut services, 1_000_000), []);
    assert_eq!(reply(&mut services, &watch(true, &[(1, input | OUT, 2)]))[..2], [1, OUT.into()]);
}

#[test]
fn a_file_is_told_of_once_and_again_when_it_is_watched_again() {
    let (input, mut inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    let mut generation = 0;
    for _ in 0..3 {
        generation += 1;
        assert_eq!(reply(&mut services, &watch(true, &[(0, IN, generation)]))[..2], [0, 0]);
        assert_eq!(events(&mut services, 1_000_000), []);
        inp.write_all(b"x").unwrap();
        let ready = Event::Ready { file: 0, mask: IN, generation };
        assert_eq!(events(&mut services, NEVER), [ready]);
        assert_eq!(events(&mut services, 1_000_000), []);
        // Who looks is answered, and is not told as well.
        assert_eq!(reply(&mut services, &watch(true, &[(0, IN, 99)]))[..2], [1, IN.into()]);
        assert_eq!(events(&mut services, 1_000_000), []);
        let read = message(Request::Read { file: 0, flags: 0 }, &[(0, 1)]);
        assert_eq!(reply(&mut services, &read)[0], 1);
    }
}

#[test]
fn who_only_looks_is_not_told() {
    let (input, mut inp) = pipe().unwrap();
    let (_out, output) = pipe().unwrap();
    let mut services = services([file(input), file(output), None]);
    let look = watch(false, &[(0, IN, 1), (1, OUT, 1)]);
    assert_eq!(reply(&mut services, &look)[..3], [1, 0, OUT.into()]);
    inp.write_all(b"x").unwrap();
    assert_eq!(events(&mut services, 1_000_000), []);
    assert_eq!(reply(&mut services, &look)[..3], [2, IN.into(), OUT.into()]);
}

#[test]
fn regular_files_are_always_ready_and_others_are_ebadf() {
    let mut services = services([Some(tempfile::tempfile().unwrap()), None, None]);
    let ready = reply(&mut services, &watch(true, &[(0, IN | OUT, 1)]));
    assert_eq!(ready[..2], [1, (IN | OUT).into()]);
    // What it never has is never told of.
    let never = watch(true, &[(0, PollFlags::PRI.bits(), 1)]);
    assert_eq!(reply(&mut services, &never)[..2], [0, 0]);
    assert_eq!(events(&mut services, 1_000_000), []);
    for file in [1, 3, u32::MAX] {
        assert_eq!(reply(&mut services, &watch(true, &[(file, IN, 1)]))[0], errno(Errno::EBADF));
    }
}

#[test]
fn a_hang_up_is_told_of_without_being_asked_for() {
    let (input, inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    assert_eq!(reply(&mut services, &watch(true, &[(0, 0, 1)]))[0], 0);
    drop(inp);
    let mask = PollFlags::HUP.bits();
    assert_eq!(events(&mut services, NEVER), [Event::Ready { file: 0, mask, generation: 1 }]);
}

#[test]
fn a_flood_of_watches_is_bounded_and_told_of_once() {
    let (input, mut inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    for generation in 0..10_000 {
        let entries = [(0, IN, generation); MAX_WATCH];
        assert_eq!(reply(&mut services, &watch(true, &entries))[0], 0);
    }
    inp.write_all(b"x").unwrap();
    let last = Event::Ready { file: 0, mask: IN, generation: 9_999 };
    assert_eq!(events(&mut services, NEVER), [last]);
}

#[test]
fn all_signals_at_once_come_in_as_many_replies_as_it_takes() {
    let mut services = services([None, None, None]);
    for number in 1..=64 {
        services.control.post(number);
    }
    // What is left interrupts the kernel again.
    let told: Vec<_> = (0..4)
        .flat_map(|_| {
            assert!(services.control.is_interrupted());
            events(&mut services, 0)
        })
        .collect();
    assert!(!services.control.is_interrupted());
    assert!(told.into_iter().eq((1..=64).map(|number| Event::Signal { number })));
}

#[test]
fn a_tick_interrupts_and_ends_a_wait() {
    let mut services = services([None, None, None]);
    let tick = |after_ns, period_ns| message(Request::Tick { after_ns, period_ns }, &[]);
    let start = Instant::now();
    assert_eq!(reply(&mut services, &tick(1_000_000, 0))[0], 0);
    assert_eq!(events(&mut services, NEVER), [Event::Tick]);
    assert!(start.elapsed() >= Duration::from_millis(1) && start.elapsed() < SOON);
    // One that comes while the kernel does something else is told of all the same, and
    // once, whatever else there is to tell.
    assert_eq!(reply(&mut services, &tick(0, 0))[0], 0);
    while !services.control.is_interrupted() {
        assert!(start.elapsed() < SOON);
        thread::yield_now();
    }
    (1..=64).for_each(|number| services.control.post(number));
    let told: Vec<_> = (0..5).flat_map(|_| events(&mut services, 0)).collect();
    assert_eq!((told.len(), told[0]), (65, Event::Tick));
    assert_eq!(reply(&mut services, &tick(0, 1))[0], 0);
    assert_eq!(reply(&mut services, &tick(NEVER, 0))[0], 0);
}

/// A file whose transfers a worker does: a pipe that cannot be opened again.
fn worked(mut file: HostFile) -> HostFile {
    file.only_by_worker();
    file
}

#[test]
fn a_worker_reads_what_comes_and_no_more_than_was_asked_for() {
    let (input, mut inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    services.files[0] = services.files[0].take().map(worked);
    let read = message(Request::Read { file: 0, flags: 0 }, &[(0x1000, 2), (0x3000, 2)]);
    assert_eq!(reply(&mut services, &read)[0], errno(Errno::EAGAIN));
    assert_eq!(reply(&mut services, &watch(true, &[(0, IN, 1)]))[0], 0);
    inp.write_all(b"abcdef").unwrap();
    assert_eq!(events(&mut services, NEVER), [Event::Ready { file: 0, mask: IN, generation: 1 }]);
    assert_eq!(reply(&mut services, &read)[0], 4);
    assert_eq!(
        services.ram.read_words::<1>(0x1000).unwrap()[0],
        u64::from(u16::from_le_bytes(*b"ab"))
    );
    assert_eq!(
        services.ram.read_words::<1>(0x3000).unwrap()[0],
        u64::from(u16::from_le_bytes(*b"cd"))
    );
    assert_eq!(reply(&mut services, &read)[0], 2);
    drop(inp);
    assert_eq!(reply(&mut services, &read)[0], 0, "the end");
}

#[test]
fn a_worker_whose_write_waits_keeps_nobody() {
    let (mut out, output) = pipe().unwrap();
    let size = fcntl_setpipe_size(&output, 4096).unwrap();
    let mut services = services([None, file(output.try_clone().unwrap()), None]);
    services.files[1] = services.files[1].take().map(worked);
    let write = message(Request::Write { file: 1, flags: 0 }, &[(0, 1 << 20)]);
    // One fills the pipe; somebody else's byte has the next one wait.
    assert_eq!(reply(&mut services, &write)[0], size as u64);
    out.read_exact(&mut vec![0; size]).unwrap();
    let filled = services.files[1].as_ref().unwrap().worker(Way::Out).unwrap();
    assert!(filled.is_idle());
    (&output).write_all(b"x").unwrap();
    assert_eq!(filled.write(vec![1; size]), Ok(size), "it counts as written");
    let start = Instant::now();
    assert_eq!(reply(&mut services, &write)[0], errno(Errno::EAGAIN));
    assert_eq!(reply(&mut services, &watch(true, &[(1, OUT, 5)]))[0], 0);
    assert_eq!(events(&mut services, 1_000_000), []);
    assert!(start.elapsed() < SOON);
    out.read_exact(&mut vec![0; size + 1]).unwrap();
    assert_eq!(events(&mut services, NEVER), [Event::Ready { file: 1, mask: OUT, generation: 5 }]);
    assert_eq!(reply(&mut services, &write)[0], size as u64);
    // Nobody reads any more: that is the next write's.
    drop(out);
    assert_eq!(reply(&mut services, &write)[0], errno(Errno::EPIPE));
}

#[test]
fn who_writes_a_regular_file_that_waits_is_told_when_it_is_written() {
    let (mut out, output) = pipe().unwrap();
    let size = fcntl_setpipe_size(&output, 4096).unwrap();
    (&output).write_all(b"x").unwrap();
    let mut services = services([None, file(output), None]);
    services.files[1].as_mut().unwrap().as_regular();
    let write = message(Request::Write { file: 1, flags: 0 }, &[(0, size as u64)]);
    // It is ready, as far as Linux knows.
    let worker = services.files[1].as_ref().unwrap().begun_worker(Way::Out).unwrap();
    let put = Work::Put(vec![0; size], Put::Plain);
    assert_eq!(worker.carry_out(put), Err(io::Errno::AGAIN));
    assert_eq!(reply(&mut services, &watch(true, &[(1, OUT, 1)]))[0], 0);
    assert_eq!(events(&mut services, 1_000_000), []);
    assert_eq!(reply(&mut services, &write)[0], errno(Errno::EAGAIN), "it is the same one");
    out.read_exact(&mut vec![0; size + 1]).unwrap();
    assert_eq!(events(&mut services, NEVER), [Event::Ready { file: 1, mask: OUT, generation: 1 }]);
    assert_eq!(reply(&mut services, &write)[0], size as u64);
    // All of it, once.
    drop(services);
    assert_eq!(out.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_worker_moves_each_byte_once_whatever_the_description_says_of_waiting() {
    let (mut out, output) = pipe().unwrap();
    let size = fcntl_setpipe_size(&output, 4096).unwrap();
    // Somebody else has set it, who shares the description.
    rustix::io::ioctl_fionbio(&output, true).unwrap();
    let worker = crate::host::worker::Worker::begin(&File::from(OwnedFd::from(output))).unwrap();
    let bytes: Vec<u8> = (0..3 * size).map(|at| (at % 251) as u8).collect();
    assert_eq!(worker.write(bytes.clone()), Ok(bytes.len()), "a part is there, the rest follows");
    let mut read = vec![0; bytes.len()];
    out.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
    let start = Instant::now();
    while worker.is_busy() {
        assert!(start.elapsed() < SOON);
        thread::yield_now();
    }
    assert_eq!(worker.write(vec![7]), Ok(1));
    assert_eq!(out.read(&mut read).unwrap(), 1);
    // One that waits so ends, too.
    assert_eq!(worker.write(bytes.clone()), Ok(bytes.len()));
    let start = Instant::now();
    drop(worker);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn what_an_older_watch_armed_takes_nothing_from_a_newer_one() {
    let (mut out, output) = pipe().unwrap();
    let size = fcntl_setpipe_size(&output, 4096).unwrap();
    let mut services = services([None, file(output.try_clone().unwrap()), None]);
    services.files[1] = services.files[1].take().map(worked);
    let write = message(Request::Write { file: 1, flags: 0 }, &[(0, size as u64)]);
    // The worker waits; its end and the file are watched, by the first.
    assert_eq!(reply(&mut services, &write)[0], size as u64);
    out.read_exact(&mut vec![0; size]).unwrap();
    (&output).write_all(b"x").unwrap();
    let worker = services.files[1].as_ref().unwrap().worker(Way::Out).unwrap();
    assert_eq!(worker.write(vec![1; size]), Ok(size));
    assert_eq!(reply(&mut services, &watch(true, &[(1, OUT, 1)]))[0], 0);
    // It ends, which nobody waits for, and the next write fills the pipe.
    out.read_exact(&mut vec![0; size + 1]).unwrap();
    let start = Instant::now();
    while !services.files[1].as_ref().unwrap().worker(Way::Out).unwrap().is_done() {
        assert!(start.elapsed() < SOON);
        thread::yield_now();
    }
    assert_eq!(reply(&mut services, &write)[0], size as u64);
    assert_eq!(reply(&mut services, &write)[0], errno(Errno::EAGAIN));
    // The file is watched by the second, for which the worker's end is nothing.
    assert_eq!(reply(&mut services, &watch(true, &[(1, OUT, 2)]))[0], 0);
    assert_eq!(events(&mut services, 20_000_000), []);
    assert!(services.watched.has_any(), "what the second armed is");
    out.read_exact(&mut vec![0; size]).unwrap();
    let ready = Event::Ready { file: 1, mask: OUT, generation: 2 };
    assert_eq!(events(&mut services, 5_000_000_000), [ready]);
}

#[test]
fn an_event_of_an_older_watch_disarms_nothing() {
    let (input, mut inp) = pipe().unwrap();
    let services = services([file(input), None, None]);
    let at = |generation| WatchEntry { file: 0, mask: IN, generation };
    let arm = |generation, source, wanted| {
        let fd = services.file(0).unwrap().file.as_fd();
        services.watched.arm(&at(generation), source, fd, wanted).unwrap();
    };
    inp.write_all(b"x").unwrap();
    // The one source is ready and armed by the first, the other by the second.
    let (ready, mut done) = pipe().unwrap();
    done.write_all(b"x").unwrap();
    services.watched.arm(&at(1), Source::Worker(Way::In), ready.as_fd(), PollFlags::IN).unwrap();
    arm(2, Source::File, PollFlags::PRI);
    assert_eq!(services.watched.ready(MAX_EVENTS).unwrap(), []);
    assert!(services.watched.has_any());
    arm(3, Source::File, PollFlags::IN);
    let told = Event::Ready { file: 0, mask: IN, generation: 3 };
    assert_eq!(services.watched.ready(MAX_EVENTS).unwrap(), [told]);
    assert!(!services.watched.has_any());
}

#[test]
fn a_worker_that_waits_ends_with_the_sandbox() {
    let (input, _inp) = pipe().unwrap();
    let worker = crate::host::worker::Worker::begin(&File::from(OwnedFd::from(input))).unwrap();
    assert_eq!(worker.read(1), Err(io::Errno::AGAIN));
    assert!(worker.is_busy());
    let start = Instant::now();
    drop(worker);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn status_and_position_of_a_file_whose_server_is_gone_wait_until_the_sandbox_is_to_stop() {
    let (input, _inp) = pipe().unwrap();
    let mut services = services([file(input), None, None]);
    services.files[0].as_mut().unwrap().as_regular();
    // Nothing comes: as if that were the server that does not answer.
    let asker = services.files[0].as_ref().unwrap().asker().unwrap();
    let read = asker.carry_out(Work::Get { most: 1, at: None });
    assert_eq!(read.err(), Some(io::Errno::AGAIN));
    let control = services.control.clone();
    let seek = Request::Seek { file: 0, offset: 0, whence: 1 };
    for (request, stops) in [(Request::Status { file: 0 }, true), (seek, false)] {
        let (start, control) = (Instant::now(), control.clone());
        let other = stops.then(|| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(30));
                control.stop();
            })
        });
        assert!(matches!(services.serve(&message(request, &[])), Ok(Served::Stopped)));
        assert!(start.elapsed() < SOON);
        other.into_iter().for_each(|other| other.join().unwrap());
    }
}

#[test]
fn status_and_position_are_the_same_whoever_asks() {
    let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    File::from(memory.try_clone().unwrap()).write_all(b"twelve bytes").unwrap();
    let mut services = services([file(memory.try_clone().unwrap()), file(memory), None]);
    services.files[1].as_mut().unwrap().as_regular();
    for (offset, whence) in [(5, 0), (1, 1), (-2, 2), (-20, 1), (3, 3), (3, 4), (12, 3), (0, 9)] {
        let [in_place, asked] = [0, 1].map(|file| {
            let before =
                reply(&mut services, &message(Request::Seek { file, offset: 4, whence: 0 }, &[]));
            assert_eq!(before[0], 4);
            reply(&mut services, &message(Request::Seek { file, offset, whence }, &[]))[0]
        });
        assert_eq!(in_place, asked, "{offset} {whence}");
    }
    let [in_place, asked] =
        [0, 1].map(|file| reply(&mut services, &message(Request::Status { file }, &[])));
    assert_eq!(in_place, asked);
    let waits = [0, 1].map(|file| services.file(file).unwrap().may_keep_waiting());
    assert_eq!(waits, [false, true]);
}

#[test]
fn the_end_of_a_program_waits_for_what_it_has_written() {
    let (mut out, output) = pipe().unwrap();
    let size = fcntl_setpipe_size(&output, 4096).unwrap();
    (&output).write_all(b"x").unwrap();
    let mut services = services([None, file(output), None]);
    services.files[1] = services.files[1].take().map(worked);
    let worker = services.files[1].as_ref().unwrap().begun_worker(Way::Out).unwrap();
    assert_eq!(worker.write(vec![1; size]), Ok(size));
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        out.read_exact(&mut vec![0; size + 1])
    });
    let exit = message(Request::Exit { status: 0 }, &[]);
    assert!(matches!(services.serve(&exit), Ok(Served::End(_))));
    drop(services);
    assert!(reader.join().unwrap().is_ok(), "all of it came");
}

#[test]
fn no_transfer_waits_whatever_the_file_is() {
    kick::install().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let (input, _inp) = pipe().unwrap();
    let (empty, _kept) = pipe().unwrap();
    let mut services = services([file(input), file(socket), file(empty)]);
    services.files[2] = services.files[2].take().map(worked);
    services.time_services();
    for file in [0, 1, 2] {
        let read = message(Request::Read { file, flags: 0 }, &[(0, 1)]);
        assert_eq!(reply(&mut services, &read)[0], errno(Errno::EAGAIN), "{file}");
    }
    assert!(services.stats.longest_us < 1_000_000, "{}", services.stats.longest_us);
    events(&mut services, 1_100_000_000);
    assert!(services.stats.longest_us < 1_000_000, "waiting is left out");
}
