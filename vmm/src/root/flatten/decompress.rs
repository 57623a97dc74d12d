//! What a source's bytes are, by how they begin; and gzip and zstd taken off.

use super::error::Bad;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, BufReader, Read};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// The bytes of a source, with its compression taken off.
pub(crate) fn reader<'a>(source: impl Read + 'a) -> Result<Box<dyn BufRead + 'a>, Bad> {
    let mut source = BufReader::with_capacity(CHUNK, source);
    Ok(match source.fill_buf().map_err(Bad::read)? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(source))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..0x60, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(BufReader::with_capacity(CHUNK, Zstd::new(source)))
        }
        _ => Box::new(source),
    })
}

/// Kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    Tar,
    Cpio,
}

/// What kind of archive these bytes are, which have no compression any more.
pub(crate) fn archive(source: &mut dyn BufRead) -> Result<Archive, Bad> {
    let bytes = source.fill_buf().map_err(Bad::read)?;
    let magic_at = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
    if magic_at(0, b"070701") || magic_at(0, b"070702") {
        return Ok(Archive::Cpio);
    }
    if magic_at(257, b"ustar") || super::tar::is_header(bytes) {
        return Ok(Archive::Tar);
    }
    let others: [(usize, &[u8], &'static str); 13] = [
        (0, b"070707", "it is a cpio of an old format: make it with 'cpio -H newc'"),
        (0, b"\xc7\x71", "it is a cpio of an old format: make it with 'cpio -H newc'"),
        (0, b"\xfd7zXZ\0", "it is compressed by xz: unpack it first, with 'xz -dk'"),
        (0, b"BZh", "it is compressed by bzip2: unpack it first, with 'bunzip2 -k'"),
        (0, b"\x04\x22\x4d\x18", "it is compressed by lz4: unpack it first, with 'lz4 -d'"),
        (0, b"LZIP", "it is compressed by lzip: unpack it first, with 'lzip -dk'"),
        (0, b"PK\x03\x04", "it is a zip archive: make a tar of its files"),
        (0, b"hsqs", "it is a squashfs: make a tar of it, with 'sqfs2tar'"),
        (0, b"QFI\xfb", "it is a disk image (qcow2): make a tar of its files"),
        (0, b"\x7fELF", "it is a program: name it behind the options"),
        (1080, b"\x53\xef", "it is a disk image (ext4): make a tar of its files"),
        (510, b"\x55\xaa", "it is a disk image: make a tar of its files"),
        (0, b"!<arch>", "it is a package or a library: make a tar of its files"),
    ];
    let known = others.into_iter().find(|(at, magic, _)| magic_at(*at, magic));
    Err(Bad::Unknown(match known {
        Some((.., what)) => what,
        None if bytes.is_empty() => "it is empty",
        None => "it is neither a tar, a cpio (newc), an OCI layout nor an EROFS image",
    }))
}

/// A stream of zstd frames, one after the other, checked where they have a checksum.
struct Zstd<R> {
    decoder: FrameDecoder,
    source: R,
    /// Whether a frame has begun that has not been read to its end.
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Zstd<R> {
        Zstd { decoder: FrameDecoder::new(), source, in_frame: false }
    }

    /// Begins the next frame, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(false)
    }

    /// Ends a frame.
    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(said), Some(is)) if said != is => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "zstd: its checksum does not fit"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                self.in_frame = self.begin()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(failed)?;
            }
            match self.decoder.read(bytes)? {
                0 if self.decoder.is_finished() && self.decoder.can_collect() == 0 => self.end()?,
                count => return Ok(count),
            }
        }
    }
}

/// An error of the decoder's. One that only says that its source ended says so.
fn failed(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(inner) = cause {
        let source = inner.downcast_ref::<io::Error>();
        if source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof) {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {error}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    /// The bytes, compressed.
    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The same by zstd.
    pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn all(bytes: &[u8]) -> Result<Vec<u8>, Bad> {
        let mut all = Vec::new();
        reader(bytes)?.read_to_end(&mut all).map_err(Bad::read)?;
        Ok(all)
    }

    /// Bytes that compress, but not to nothing.
    fn sample() -> Vec<u8> {
        (0..300_000u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect()
    }

    #[test]
    fn compression_is_known_by_what_is_there() {
        let sample = sample();
        assert!(all(&sample).unwrap() == sample);
        assert!(all(&gzip(&sample)).unwrap() == sample);
        assert!(all(&zstd(&sample)).unwrap() == sample);
        assert_eq!(all(b"").unwrap(), b"");
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let both = [gzip(b"one, "), gzip(b"two")].concat();
        assert_eq!(all(&both).unwrap(), b"one, two");
        let skipped = [&b"\x5a\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(b"one, "), &zstd(b"two")];
        assert_eq!(all(&skipped.concat()).unwrap(), b"one, two");
    }

    #[test]
    fn a_truncated_end_is_said_as_such() {
        for bytes in [gzip(&sample()), zstd(&sample())] {
            for length in [bytes.len() - 1, bytes.len() / 2, 5] {
                let error = all(&bytes[..length]).unwrap_err();
                assert!(matches!(error, Bad::Truncated), "{length}: {error}");
            }
        }
        assert!(matches!(all(b"\x50\x2a\x4d\x18\x08\0\0\0abc"), Err(Bad::Truncated)));
    }

    #[test]
    fn a_damaged_middle_is_an_error() {
        for mut bytes in [gzip(&sample()), zstd(&sample())] {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0x55);
            assert!(all(&bytes).is_err());
        }
    }

    #[test]
    fn what_is_no_archive_is_named() {
        let said = |bytes: &[u8]| archive(&mut &bytes[..]).unwrap_err().to_string();
        assert!(said(b"\xfd7zXZ\0rest").contains("unpack it first, with 'xz -dk'"));
        assert!(said(b"070707rest").contains("cpio -H newc"));
        assert!(said(b"").ends_with("is empty"));
        assert!(said(&[7; 2000]).contains("neither a tar"));
        assert_eq!(archive(&mut &b"070701..."[..]).unwrap(), Archive::Cpio);
    }
}
