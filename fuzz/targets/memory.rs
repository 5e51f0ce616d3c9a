//! Files in memory for a journal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use turnpike::journal::storage::Operation;
use turnpike::journal::storage::Storage;
use turnpike::journal::storage::StorageError;
use turnpike::journal::storage::StorageFile;

type Content = Rc<RefCell<Vec<u8>>>;

/// A directory; clones are handles to the same one.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<BTreeMap<String, Content>>>);

/// An open file.
pub struct File(Content);

fn failed(operation: Operation, file: &str) -> StorageError {
    StorageError { operation, file: file.to_owned(), cause: "no such file".to_owned(), full: false }
}

impl Memory {
    /// Puts a file in place.
    pub fn put(&self, name: &str, content: Vec<u8>) {
        self.0.borrow_mut().insert(name.to_owned(), Rc::new(RefCell::new(content)));
    }
}

impl Storage for Memory {
    type File = File;

    fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let files = self.0.borrow();
        Ok(files.keys().filter(|name| name.starts_with(&format!("{directory}/"))).cloned().collect())
    }

    fn open(&self, name: &str) -> Result<File, StorageError> {
        let files = self.0.borrow();
        files.get(name).map(|content| File(Rc::clone(content))).ok_or_else(|| failed(Operation::Open, name))
    }

    fn create(&self, name: &str) -> Result<File, StorageError> {
        self.put(name, Vec::new());
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let mut files = self.0.borrow_mut();
        let content = files.remove(from).ok_or_else(|| failed(Operation::Rename, from))?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let removed = self.0.borrow_mut().remove(name);
        removed.map(drop).ok_or_else(|| failed(Operation::Remove, name))
    }

    fn sync_directory(&self, _: &str) -> Result<(), StorageError> {
        Ok(())
    }
}

impl StorageFile for File {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        let content = self.0.borrow();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut content = self.0.borrow_mut();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.0.borrow_mut().resize(length as usize, 0);
        Ok(())
    }
}
