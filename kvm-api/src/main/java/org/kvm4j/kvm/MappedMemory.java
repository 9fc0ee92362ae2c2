package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * Anonymous user-space memory of a kernel: what guest memory, bitmaps and ioctl arguments live in.
 * It is zero at first and takes real memory only where it is touched.
 *
 * <p>Closing it unmaps it; a memory slot that still refers to it then faults when the guest touches
 * it, as on Linux. Memory that is not closed goes with its kernel.
 */
public final class MappedMemory implements AutoCloseable {

  private final Kernel kernel;
  private final UserMemory memory;
  private final long address;
  private final long size;
  private boolean closed;

  private MappedMemory(Kernel kernel, long address, long size) {
    this.kernel = kernel;
    this.address = address;
    this.size = size;
    this.memory = kernel.memory(address, size);
  }

  /**
   * Maps memory.
   *
   * @param size in bytes, greater than 0; the kernel rounds it up to whole pages of 4 KB
   * @throws KvmException ENOMEM if there is not so much address space
   * @throws IllegalArgumentException if the size is not positive
   */
  public static MappedMemory allocate(Kernel kernel, long size) {
    if (size <= 0) {
      throw new IllegalArgumentException("cannot map " + size + " bytes of memory");
    }
    long address =
        kernel.mmap(
            size,
            Kernel.PROT_READ | Kernel.PROT_WRITE,
            Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS | Kernel.MAP_NORESERVE,
            -1,
            0);
    if (Handle.isError(address)) {
      throw new KvmException(
          "mmap", (int) -address, "cannot map " + size + " bytes of anonymous memory");
    }
    return new MappedMemory(kernel, address, size);
  }

  /** The user-space address of the first byte. */
  public long address() {
    return address;
  }

  /** Length in bytes. */
  public long size() {
    return size;
  }

  /** The bytes. Once this is closed, every access is an {@link IllegalStateException}. */
  public UserMemory memory() {
    return memory;
  }

  /** Unmaps the memory; a second time does nothing. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      kernel.munmap(address, size);
    }
  }
}
