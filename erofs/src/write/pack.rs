//! Directories as bytes: which names go into which block, and what a block is.

use zerocopy::IntoBytes;

use crate::BLOCK_SIZE;
use crate::FileType;
use crate::disk::{DirectoryEntry, ENTRY_SIZE};

/// An entry of a directory that is to be written.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) nid: u64,
    pub(super) file_type: FileType,
}

/// How many bytes an entry takes.
fn cost(name: &[u8]) -> u64 {
    ENTRY_SIZE + name.len() as u64
}

/// The size of a directory with these names, in order.
pub(super) fn size(names: &[&[u8]]) -> u64 {
    let (mut blocks, mut used) = (0, 0);
    for cost in names.iter().map(|name| cost(name)) {
        if used + cost > BLOCK_SIZE {
            blocks += 1;
            used = 0;
        }
        used += cost;
    }
    blocks * BLOCK_SIZE + used
}

/// The bytes of a directory with these entries, which are in the order of their names.
pub(super) fn pack(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut used = 0;
        let count = rest.iter().take_while(|entry| {
            used += cost(entry.name);
            used <= BLOCK_SIZE
        });
        let (block, behind) = rest.split_at(count.count());
        bytes.resize(bytes.len().next_multiple_of(BLOCK_SIZE as usize), 0);
        put_block(block, &mut bytes);
        rest = behind;
    }
    bytes
}

fn put_block(entries: &[Entry<'_>], bytes: &mut Vec<u8>) {
    let mut name = entries.len() as u64 * ENTRY_SIZE;
    for entry in entries {
        let on_disk = DirectoryEntry {
            nid: entry.nid.into(),
            // Below the size of a block.
            name: (name as u16).into(),
            file_type: entry.file_type as u8,
            reserved: 0,
        };
        bytes.extend_from_slice(on_disk.as_bytes());
        name += entry.name.len() as u64;
    }
    for entry in entries {
        bytes.extend_from_slice(entry.name);
    }
}
