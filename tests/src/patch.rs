//! The embedded guest kernel with a few bytes changed: how it behaves when it
//! fails, or has been taken over.

use object::{Object, ObjectSection, ObjectSymbol};
use trapgate_abi::hypercall::{self, MESSAGE_WORDS, Request};
use trapgate_abi::layout::{Cpu, percpu};

/// The kernel's image with `code` in the place of the first bytes of `function`:
/// of the first symbol that has this in its name.
///
/// # Panics
/// If there is none.
pub fn kernel_with(function: &str, code: &[u8]) -> Vec<u8> {
    image_with(trapgate::boot::kernel::PLAIN, function, code)
}

/// The same of the instrumented image.
///
/// # Panics
/// If there is no such function.
pub fn instrumented_with(function: &str, code: &[u8]) -> Vec<u8> {
    image_with(trapgate::boot::kernel::INSTRUMENTED, function, code)
}

fn image_with(image: &[u8], function: &str, code: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    let offset = offset_of(&image, function);
    image[offset..offset + code.len()].copy_from_slice(code);
    image
}

/// Code that makes a request without attachments: once, and then returns 0 from the
/// function that it stands in; or again and again.
///
/// # Panics
/// If an argument does not fit into 31 bits, and is not -1.
pub fn asking(request: Request, for_ever: bool) -> Vec<u8> {
    let mut message = [0; MESSAGE_WORDS];
    request.encode(&mut message);
    let page = (Cpu::FIRST.area() + percpu::HOST_CALL).to_le_bytes();
    let mut code = vec![0x48, 0xb8]; // mov rax, page
    code.extend(page);
    // What comes before the attachments.
    for (word, offset) in message.into_iter().zip([0u8, 8, 16, 24, 32]) {
        let word = i32::try_from(word.cast_signed()).expect("a small argument");
        code.extend([0x48, 0xc7, 0x40, offset]); // mov qword ptr [rax + offset], word
        code.extend(word.to_le_bytes());
    }
    code.push(0xba); // mov edx, PORT
    code.extend(u32::from(hypercall::PORT).to_le_bytes());
    code.push(0xef); // out dx, eax
    if for_ever {
        let back = -(code.len() as i8 + 2);
        code.extend([0xeb, back.cast_unsigned()]); // jmp to the first instruction
    } else {
        code.extend([0x31, 0xc0, 0xc3]); // xor eax, eax; ret
    }
    code
}

/// The kernel's image with `new` in the place of the first `old` in `function`.
///
/// # Panics
/// If there are no such bytes within 256 of its start.
pub fn kernel_with_instead(function: &str, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut image = trapgate::boot::kernel::PLAIN.to_vec();
    let start = offset_of(&image, function);
    let found = image[start..start + 256].windows(old.len()).position(|bytes| bytes == old);
    let offset = start + found.unwrap_or_else(|| panic!("no {old:02x?} in {function}"));
    image[offset..offset + new.len()].copy_from_slice(new);
    image
}

/// Where a function's first byte is in the file.
fn offset_of(image: &[u8], function: &str) -> usize {
    let file = object::File::parse(image).expect("the kernel is an ELF file");
    let symbol = file
        .symbols()
        .find(|symbol| symbol.name().is_ok_and(|name| name.contains(function)))
        .unwrap_or_else(|| panic!("the kernel has no symbol {function}"));
    let index = symbol.section_index().expect("a symbol in a section");
    let section = file.section_by_index(index).expect("that section");
    let (start, _) = section.file_range().expect("text is in the file");
    (start + symbol.address() - section.address()) as usize
}
