//! The embedded guest kernel with a few bytes changed: how it behaves when it
//! fails, or has been taken over.

use object::{Object, ObjectSection, ObjectSymbol};

/// The kernel's image with `code` in the place of the first bytes of `function`:
/// of the first symbol that has this in its name.
///
/// # Panics
/// If there is none.
pub fn kernel_with(function: &str, code: &[u8]) -> Vec<u8> {
    let mut image = trapgate::boot::kernel::PLAIN.to_vec();
    let offset = offset_of(&image, function);
    image[offset..offset + code.len()].copy_from_slice(code);
    image
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
