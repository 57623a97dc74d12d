//! ELF files made to measure: a small valid program, and variations of it that
//! are wrong in one way each.

/// `p_flags`: readable and executable.
pub const RX: u32 = 5;
/// `p_flags`: readable and writable.
pub const RW: u32 = 6;
/// `p_type` of a segment to load.
pub const PT_LOAD: u32 = 1;
/// `p_type` of what a dynamic linker reads.
pub const PT_DYNAMIC: u32 = 2;
/// `p_type` of the dynamic linker's path.
pub const PT_INTERP: u32 = 3;

/// Where the program of [`Elf::exiting`] is.
pub const BASE: u64 = 0x40_0000;

/// A program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_offset`.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_filesz`.
    pub file_size: u64,
    /// `p_memsz`.
    pub memory_size: u64,
}

impl Segment {
    /// Memory without bytes in the file.
    pub const fn empty(address: u64, size: u64) -> Segment {
        Segment { kind: PT_LOAD, flags: RW, offset: 0, address, file_size: 0, memory_size: size }
    }
}

/// What is in an ELF header, and what follows it.
#[derive(Clone, Debug)]
pub struct Elf {
    /// EI_CLASS: 2 is 64-bit, 1 is 32-bit: that decides about the headers' form.
    pub class: u8,
    /// EI_DATA: 1 is little-endian.
    pub data: u8,
    /// `e_type`: 2 is an executable.
    pub kind: u16,
    /// `e_machine`: 62 is x86-64.
    pub machine: u16,
    /// `e_entry`.
    pub entry: u64,
    /// The program headers.
    pub segments: Vec<Segment>,
    /// What follows the program headers.
    pub body: Vec<u8>,
}

impl Elf {
    /// A program that exits with this status, and nothing else.
    pub fn exiting(status: u8) -> Elf {
        let mut elf = Elf {
            class: 2,
            data: 1,
            kind: 2,
            machine: 62,
            entry: 0,
            segments: Vec::new(),
            body: Vec::new(),
        };
        // mov edi, status; mov eax, 231 (exit_group); syscall; ud2
        elf.body = vec![0xbf, status, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b];
        elf.segments.push(Segment::empty(BASE, 0));
        elf.load_all();
        elf
    }

    /// A program that makes this call by SYSCALL, with whatever is in the
    /// registers at its start, and exits with this status.
    pub fn calling(number: u32, status: u8) -> Elf {
        let mut elf = Elf::exiting(status);
        // mov eax, number; syscall
        let call = [&[0xb8], &number.to_le_bytes()[..], &[0x0f, 0x05]].concat();
        elf.body = [call, elf.body].concat();
        elf.load_all();
        elf
    }

    /// A 32-bit program that exits with this status, by INT 0x80.
    pub fn exiting_32(status: u8) -> Elf {
        let mut elf = Elf { class: 1, machine: 3, ..Elf::exiting(0) };
        // mov ebx, status; mov eax, 252 (exit_group); int 0x80; ud2
        elf.body = vec![0xbb, status, 0, 0, 0, 0xb8, 252, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b];
        elf.load_all();
        elf
    }

    /// Bytes in an ELF header and a program header.
    const fn sizes(&self) -> (u64, u64) {
        if self.class == 1 { (52, 32) } else { (64, 56) }
    }

    /// A program that makes these writes, one call each, and exits with status
    /// 0.
    pub fn writing(writes: &[(u8, &[u8])]) -> Elf {
        /// Bytes of the instructions for one write.
        const CODE: usize = 5 + 5 + 7 + 5 + 2;
        let mut elf = Elf::exiting(0);
        let exit = std::mem::take(&mut elf.body);
        let mut text: Vec<u8> = Vec::new();
        for (index, (fd, bytes)) in writes.iter().enumerate() {
            // From the instruction behind the LEA to the bytes.
            let behind = CODE * index + 5 + 5 + 7;
            let distance = CODE * writes.len() + exit.len() + text.len() - behind;
            // mov eax, 1 (write); mov edi, fd; lea rsi, [rip + distance];
            // mov edx, length; syscall
            elf.body.extend([0xb8, 1, 0, 0, 0, 0xbf, *fd, 0, 0, 0, 0x48, 0x8d, 0x35]);
            elf.body.extend((distance as u32).to_le_bytes());
            elf.body.push(0xba);
            elf.body.extend((bytes.len() as u32).to_le_bytes());
            elf.body.extend([0x0f, 0x05]);
            text.extend_from_slice(bytes);
        }
        elf.body.extend(exit);
        elf.body.extend(text);
        elf.load_all();
        elf
    }

    /// Adds a segment. The first one still has the whole file.
    #[must_use]
    pub fn with(mut self, segment: Segment) -> Elf {
        self.segments.push(segment);
        self.load_all();
        self
    }

    /// Makes the first segment the whole file, with the entry behind the
    /// headers.
    fn load_all(&mut self) {
        let (header, program_header) = self.sizes();
        let headers = header + program_header * self.segments.len() as u64;
        let size = headers + self.body.len() as u64;
        let first = &mut self.segments[0];
        *first = Segment {
            kind: PT_LOAD,
            flags: RX,
            offset: 0,
            address: first.address,
            file_size: size,
            memory_size: size,
        };
        self.entry = first.address + headers;
    }

    /// The file, in the byte order that it claims.
    pub fn bytes(&self) -> Vec<u8> {
        let big = self.data == 2;
        let mut bytes = vec![0x7f, b'E', b'L', b'F', self.class, self.data, 1];
        bytes.resize(16, 0);
        let mut put = |value: u64, size: usize| {
            let (little, all) = (value.to_le_bytes(), value.to_be_bytes());
            let number = if big { &all[8 - size..] } else { &little[..size] };
            bytes.extend(number);
        };
        put(self.kind.into(), 2);
        put(self.machine.into(), 2);
        put(1, 4);
        let (header, program_header) = self.sizes();
        let word = if self.class == 1 { 4 } else { 8 };
        // Entry, program headers, section headers.
        for value in [self.entry, header, 0] {
            put(value, word);
        }
        put(0, 4);
        let count = self.segments.len() as u64;
        for half in [header, program_header, count, 64, 0, 0] {
            put(half, 2);
        }
        for segment in &self.segments {
            let flags = segment.flags.into();
            put(segment.kind.into(), 4);
            if word == 8 {
                put(flags, 4);
            }
            for value in [
                segment.offset,
                segment.address,
                segment.address,
                segment.file_size,
                segment.memory_size,
            ] {
                put(value, word);
            }
            if word == 4 {
                put(flags, 4);
            }
            put(4096, word);
        }
        bytes.extend(&self.body);
        bytes
    }
}
