//! What an open file has besides what it is: most have nothing.

use crate::memory::{Text, try_arc};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use spin::Mutex;
use trapgate_arch::usercopy;
use trapgate_uapi::Errno;

/// Writes all of a file's content.
pub type Make<'a> = &'a dyn Fn(&mut Text) -> Result<(), Errno>;

/// What an open file has besides. Most have nothing.
#[derive(Default)]
pub struct Beside(Mutex<Option<Arc<Kept>>>);

enum Kept {
    /// What it was when its beginning was read last: so that it stays the same from one
    /// read(2) to the next.
    Text(Vec<u8>),
    /// What goes when it is closed.
    Token(Box<dyn Any + Send + Sync>),
}

impl Beside {
    /// This goes when the file is closed.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn token(token: Box<dyn Any + Send + Sync>) -> Result<Beside, Errno> {
        Ok(Beside(Mutex::new(Some(try_arc(Kept::Token(token))?))))
    }

    /// Does something with what goes when the file is closed, if it is of this type; it is
    /// made first, if there is nothing and `make` is there.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn with<T: Any + Send + Sync, R>(
        &self,
        make: Option<&dyn Fn() -> Result<Box<T>, Errno>>,
        with: impl FnOnce(&T) -> R,
    ) -> Result<Option<R>, Errno> {
        let mut held = self.0.lock();
        if let (None, Some(make)) = (&*held, make) {
            *held = Some(try_arc(Kept::Token(make()?))?);
        }
        let kept = held.clone();
        drop(held);
        Ok(match kept.as_deref() {
            Some(Kept::Token(token)) => token.downcast_ref().map(with),
            _ => None,
        })
    }

    /// read(2) at this offset of what `make` writes. `to` is the program's.
    ///
    /// # Errors
    /// Those of `make`; EFAULT.
    pub fn read(&self, make: Make, offset: u64, to: u64, length: u64) -> Result<u64, Errno> {
        let taken = self.0.lock().clone();
        let taken = match taken {
            Some(taken) if offset > 0 => taken,
            _ => self.take(make)?,
        };
        let Kept::Text(text) = &*taken else { return Err(Errno::EINVAL) };
        let rest = usize::try_from(offset).ok().and_then(|offset| text.get(offset..));
        let rest = rest.unwrap_or_default();
        let length = length.min(rest.len() as u64);
        // Nothing is locked: the program's page may have to be fetched.
        if !usercopy::write(to, &rest[..length as usize]) {
            return Err(Errno::EFAULT);
        }
        Ok(length)
    }

    fn take(&self, make: Make) -> Result<Arc<Kept>, Errno> {
        let mut text = Text::default();
        make(&mut text)?;
        let text = try_arc(Kept::Text(text.into_bytes()))?;
        let before = self.0.lock().replace(text.clone());
        drop(before);
        Ok(text)
    }
}
