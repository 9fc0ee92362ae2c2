package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmIoctl;

/**
 * A kernel that does as a test tells it: memory and descriptors work, every ioctl but those that
 * make handles is what {@link #on} gives, and else succeeds with 0 and leaves its argument alone.
 */
class FakeKernel implements Kernel {

  static final int VCPU_MMAP_SIZE = 3 * 4096;

  /** What an ioctl does. */
  interface Handler {
    int call(int fd, long argument);
  }

  /** An ioctl as it came, with the bytes that its argument pointed to. */
  record Call(int fd, int request, long argument, byte[] bytes) {
    String name() {
      return KvmIoctl.nameOf(request);
    }
  }

  private static final class Mapping implements AutoCloseable {
    final HeapMemory bytes;
    volatile boolean mapped = true;

    Mapping(int size) {
      bytes = new HeapMemory(size);
    }

    @Override
    public void close() {
      mapped = false;
    }
  }

  private final TreeMap<Long, Mapping> mappings = new TreeMap<>();
  private final Map<Integer, Handler> handlers = new HashMap<>();
  final Map<Integer, Integer> capabilities = new HashMap<>();
  final List<Call> calls = new ArrayList<>();
  final List<Integer> closed = new ArrayList<>();
  private long nextAddress = 0x7f00_0000_0000L;
  private int nextFd = 3;
  int openResult;

  void on(int request, Handler handler) {
    handlers.put(request, handler);
  }

  void fail(int request, Errno errno) {
    on(request, (fd, argument) -> errno.result());
  }

  Call lastCall() {
    return calls.get(calls.size() - 1);
  }

  HeapMemory lastArgument() {
    return new HeapMemory(lastCall().bytes());
  }

  int mappedRanges() {
    return mappings.size();
  }

  int newFd() {
    return nextFd++;
  }

  @Override
  public String name() {
    return "fake";
  }

  @Override
  public int open(String path, int flags) {
    return openResult < 0 ? openResult : newFd();
  }

  @Override
  public int close(int fd) {
    closed.add(fd);
    return 0;
  }

  @Override
  public int ioctl(int fd, int request, long argument) {
    KvmIoctl row = KvmIoctl.of(request).orElse(null);
    byte[] bytes = new byte[0];
    if (row != null && row.argumentSize() > 0 && mappings.floorEntry(argument) != null) {
      // All of the block that is left: flexible arrays are longer than the struct.
      Map.Entry<Long, Mapping> block = mappings.floorEntry(argument);
      int from = (int) (argument - block.getKey());
      byte[] all = block.getValue().bytes.toBytes();
      bytes = Arrays.copyOfRange(all, from, all.length);
    }
    calls.add(new Call(fd, request, argument, bytes));
    Handler handler = handlers.get(request);
    if (handler != null) {
      return handler.call(fd, argument);
    }
    switch (request) {
      case Ioctls.KVM_GET_API_VERSION:
        return 12;
      case Ioctls.KVM_GET_VCPU_MMAP_SIZE:
        return VCPU_MMAP_SIZE;
      case Ioctls.KVM_CREATE_VM:
      case Ioctls.KVM_CREATE_VCPU:
      case Ioctls.KVM_GET_STATS_FD:
        return newFd();
      case Ioctls.KVM_CHECK_EXTENSION:
        return capabilities.getOrDefault((int) argument, 0);
      default:
        return 0;
    }
  }

  @Override
  public synchronized long mmap(long length, int protection, int flags, int fd, long offset) {
    if (length > Integer.MAX_VALUE) {
      return Errno.ENOMEM.result();
    }
    long address = nextAddress;
    nextAddress += (length + 4095) / 4096 * 4096 + 4096;
    mappings.put(address, new Mapping((int) length));
    return address;
  }

  @Override
  public synchronized int munmap(long address, long length) {
    Mapping mapping = mappings.remove(address);
    if (mapping == null) {
      return Errno.EINVAL.result();
    }
    mapping.close();
    return 0;
  }

  @Override
  public int eventfd(int initial, int flags) {
    return newFd();
  }

  @Override
  public long read(int fd, long buffer, long count) {
    return 0;
  }

  @Override
  public long pread(int fd, long buffer, long count, long offset) {
    return 0;
  }

  @Override
  public long write(int fd, long buffer, long count) {
    return count;
  }

  @Override
  public int poll(long fds, int count, int timeoutMillis) {
    return 0;
  }

  @Override
  public int gettid() {
    return (int) Thread.currentThread().getId();
  }

  @Override
  public int kick(int threadId) {
    return 0;
  }

  @Override
  public synchronized UserMemory memory(long address, long length) {
    Map.Entry<Long, Mapping> entry = mappings.floorEntry(address);
    if (entry == null || address - entry.getKey() + length > entry.getValue().bytes.size()) {
      throw new IllegalArgumentException("not mapped: 0x" + Long.toHexString(address));
    }
    return new View(
        entry.getValue(), entry.getValue().bytes.slice(address - entry.getKey(), length), address);
  }

  @Override
  public void close() {}

  private record View(Mapping mapping, UserMemory bytes, long address) implements UserMemory {

    private UserMemory live() {
      if (!mapping.mapped) {
        throw new IllegalStateException("no longer mapped: 0x" + Long.toHexString(address));
      }
      return bytes;
    }

    @Override
    public long size() {
      return bytes.size();
    }

    @Override
    public byte getByte(long offset) {
      return live().getByte(offset);
    }

    @Override
    public short getShort(long offset) {
      return live().getShort(offset);
    }

    @Override
    public int getInt(long offset) {
      return live().getInt(offset);
    }

    @Override
    public long getLong(long offset) {
      return live().getLong(offset);
    }

    @Override
    public void putByte(long offset, byte value) {
      live().putByte(offset, value);
    }

    @Override
    public void putShort(long offset, short value) {
      live().putShort(offset, value);
    }

    @Override
    public void putInt(long offset, int value) {
      live().putInt(offset, value);
    }

    @Override
    public void putLong(long offset, long value) {
      live().putLong(offset, value);
    }

    @Override
    public int getIntAcquire(long offset) {
      return live().getIntAcquire(offset);
    }

    @Override
    public void putIntRelease(long offset, int value) {
      live().putIntRelease(offset, value);
    }

    @Override
    public void read(long offset, byte[] target, int targetOffset, int length) {
      live().read(offset, target, targetOffset, length);
    }

    @Override
    public void write(long offset, byte[] source, int sourceOffset, int length) {
      live().write(offset, source, sourceOffset, length);
    }

    @Override
    public void fill(long offset, long length, byte value) {
      live().fill(offset, length, value);
    }

    @Override
    public UserMemory slice(long offset, long length) {
      return new View(mapping, bytes.slice(offset, length), address + offset);
    }
  }
}
