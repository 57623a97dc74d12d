//! What a Rust program with its standard library does: arguments, environment,
//! collections, time, standard input, panics. One file for plain rustc.
//!
//! - `hello [words]`: prints them in several orders
//! - `hello lines`: counts the lines and words of standard input
//! - `hello panic`: panics with a hook that tells no thread number, status 101
//! - `hello panic-default`: panics as usual, status 101
//! - `hello catch`: panics, unwinds and goes on
//! - `hello exit N`: ends with status N
//! - `hello overflow`: overflows its stack, death by a signal
//!
//! What `panic-default` prints on standard error holds the thread's number.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::env;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("lines") => lines(),
        Some("panic") => panic(true),
        Some("panic-default") => panic(false),
        Some("catch") => catch(),
        Some("exit") => {
            let status = args.get(1).and_then(|text| text.parse().ok());
            return ExitCode::from(status.unwrap_or(99));
        }
        Some("overflow") => println!("{}", overflow(1)),
        _ => hello(&args),
    }
    ExitCode::SUCCESS
}

fn hello(args: &[String]) {
    println!("Hello from Rust, with {} arguments", args.len());
    let mut sorted = args.to_vec();
    sorted.sort_by_key(|word| (word.len(), word.clone()));
    println!("sorted: {sorted:?}");
    let unique: HashSet<&String> = args.iter().collect();
    println!("different ones: {}", unique.len());
    println!("NAME is {:?}", env::var("NAME").ok());
    println!("standard output is a terminal: {}", io::stdout().is_terminal());

    let mut squares = HashMap::new();
    for number in 0..10_000u64 {
        squares.insert(number, number * number);
    }
    let sum: u64 = squares.values().sum();
    println!("sum of {} squares: {sum}", squares.len());
    let mut text = String::new();
    for (number, square) in squares.into_iter().collect::<BTreeMap<_, _>>().range(..5) {
        write!(text, "{number}:{square} ").expect("a String takes everything");
    }
    println!("first of them: {text}");
    let queue: VecDeque<f64> = (1..=10).map(|number| 1.0 / f64::from(number)).collect();
    println!("harmonic: {:.12} {:?}", queue.iter().sum::<f64>(), queue[2].sqrt());
    let large = vec![7u8; 5 << 20];
    println!("large: {} {}", large.len(), large.iter().map(|&byte| u64::from(byte)).sum::<u64>());

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    let elapsed = start.elapsed();
    println!("slept long enough: {}", elapsed >= Duration::from_millis(2));
    println!("and not for ever: {}", elapsed < Duration::from_secs(60));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    println!("later than 2020: {}", now.is_ok_and(|now| now.as_secs() > 1_577_836_800));
    eprintln!("to standard error");
    io::stdout().flush().expect("standard output takes it");
}

fn lines() {
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    let mut input = io::stdin().lock();
    let mut line = String::new();
    while input.read_line(&mut line).expect("standard input can be read") > 0 {
        count += 1;
        for word in line.split_whitespace() {
            *words.entry(word.to_owned()).or_default() += 1;
        }
        line.clear();
    }
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).expect("standard input can be read");
    println!("{count} lines, {} words, {} after the end", words.len(), rest.len());
    for (word, times) in words {
        println!("{times:7} {word}");
    }
}

fn panic(own_hook: bool) {
    if own_hook {
        std::panic::set_hook(Box::new(|info| {
            let line = info.location().map_or(0, |location| location.line());
            eprintln!("panic in line {line}: {:?}", info.payload_as_str());
        }));
    }
    println!("about to panic");
    panic!("as asked");
}

fn catch() {
    std::panic::set_hook(Box::new(|_| {}));
    struct Noisy(&'static str);
    impl Drop for Noisy {
        fn drop(&mut self) {
            println!("dropped: {}", self.0);
        }
    }
    let caught = std::panic::catch_unwind(|| {
        let _noisy = Noisy("while unwinding");
        let empty: Vec<u8> = Vec::new();
        let index = env::args().count();
        empty[index]
    });
    println!("caught: {}", caught.is_err());
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 1000]);
    overflow(depth + 1) + room[999]
}
