package org.kvm4j.ept.memory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.kvm4j.machine.HostPages;

/**
 * Where lazy zeroed memory comes from: private mappings of one unlinked file that is a single hole
 * of 1 GiB. Nothing is ever written to the file: a store to a private mapping gives the page that
 * it touches anonymous memory of its own, and a page that nobody stored to costs at most the page
 * cache's zeroes, which all mappings share. So a mapping takes address space until it is touched,
 * needs no {@code -XX:MaxDirectMemorySize}, and any number of mappings can be made of the one file.
 *
 * <p>A mapping is given back when the collector finds it unreachable, never sooner: a CPU may still
 * hold it in a TLB, and memory that is unmapped under a reader would be the one way out of bounds.
 * Since the heap alone would not make the collector run, {@link #map} asks for a collection when
 * the mappings made have doubled since the last one.
 */
final class SparseFile {
  /** System property that names the directory for the file. */
  static final String DIRECTORY_PROPERTY = "org.kvm4j.memory.directory";

  private static final int SIZE = 1 << PhysicalMemory.BANK_SHIFT;
  private static final long FIRST_COLLECTION = 4L << 30;

  /**
   * From so many bytes on a mapping is anonymous memory of huge pages, where that can be had: a
   * guest that large touches much of it, and a page at a time takes a tenth of a boot. But for
   * mappings of 1 GiB: they are parts of what may be much larger, and sparse.
   */
  private static final int HUGE = 128 << 20;

  private static final Cleaner CLEANER = Cleaner.create();
  private static final AtomicLong MAPPED = new AtomicLong();
  private static long nextCollection = FIRST_COLLECTION;
  private static FileChannel[] file = new FileChannel[0];

  private static final Set<StandardOpenOption> OPTIONS =
      Set.of(
          StandardOpenOption.READ,
          StandardOpenOption.WRITE,
          StandardOpenOption.CREATE_NEW,
          StandardOpenOption.SPARSE,
          StandardOpenOption.DELETE_ON_CLOSE);

  private SparseFile() {}

  /** Bytes of address space that mappings take now, collected ones not counted. */
  static long mappedBytes() {
    return MAPPED.get();
  }

  /**
   * A new zeroed, page-aligned, little-endian mapping.
   *
   * @throws OutOfPhysicalMemoryException if this process gets no more address space
   * @throws UncheckedIOException if the file cannot be made
   */
  static ByteBuffer map(int length) {
    FileChannel from = channel();
    ByteBuffer buffer;
    try {
      buffer = from.map(FileChannel.MapMode.PRIVATE, 0, length).order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new OutOfPhysicalMemoryException(
          "cannot map " + length + " bytes of memory: " + e.getMessage());
    }
    if (length >= HUGE && length < SIZE && HostMemory.IN_USE) {
      HostPages.useHugePages(HostMemory.address(buffer), length);
    }
    MAPPED.addAndGet(length);
    CLEANER.register(buffer, () -> MAPPED.addAndGet(-length));
    return buffer;
  }

  /** To be called before mappings of {@code length} bytes in total are made. */
  @SuppressWarnings("SleepWhileHoldingLock")
  static synchronized void makeRoom(long length) {
    if (MAPPED.get() + length <= nextCollection) {
      return;
    }
    System.gc();
    for (int i = 0; i < 10 && MAPPED.get() + length > nextCollection / 2; i++) {
      try {
        Thread.sleep(2);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        break;
      }
    }
    nextCollection = Math.max(FIRST_COLLECTION, 2 * (MAPPED.get() + length));
  }

  /**
   * The file, made when it is first asked for.
   *
   * @throws UncheckedIOException if no directory takes it
   */
  static synchronized FileChannel channel() {
    if (file.length == 0 || !file[0].isOpen()) {
      try {
        file = new FileChannel[] {open()};
      } catch (IOException e) {
        throw new UncheckedIOException(String.valueOf(e.getMessage()), e);
      }
    }
    return file[0];
  }

  /**
   * A name that no file has. It need not be one that nobody can guess: what is made must be new,
   * and is for this user alone. (Files.createTempFile sets the JVM's security providers up, which
   * takes longer than all else here.)
   */
  private static String name() {
    return "kvm4j-memory-" + System.nanoTime();
  }

  /** Where the file system knows of others, they have no right to the file. */
  private static FileAttribute<?>[] ownersAlone(Path directory) {
    if (!directory.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      return new FileAttribute<?>[0];
    }
    return new FileAttribute<?>[] {
      PosixFilePermissions.asFileAttribute(
          EnumSet.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE))
    };
  }

  private static FileChannel open() throws IOException {
    IOException failure = null;
    for (Path directory : directories()) {
      try {
        // Deletion on close unlinks the file at once on POSIX systems.
        FileChannel channel =
            FileChannel.open(directory.resolve(name()), OPTIONS, ownersAlone(directory));
        // One byte at the end makes the rest a hole. Letting map() extend the file would reserve
        // blocks.
        channel.write(ByteBuffer.allocate(1), SIZE - 1L);
        return channel;
      } catch (IOException e) {
        if (failure == null) {
          failure =
              new IOException(
                  "no directory for the sparse file behind emulated memory: "
                      + e.getMessage()
                      + " (name one with -D"
                      + DIRECTORY_PROPERTY
                      + ")",
                  e);
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    throw failure == null ? new IOException("no directory") : failure;
  }

  /**
   * Candidates, best first: a tmpfs comes last, since reading holes of a tmpfs takes memory from
   * it.
   */
  private static List<Path> directories() {
    String named = System.getProperty(DIRECTORY_PROPERTY);
    if (named != null) {
      return List.of(Path.of(named));
    }
    List<Path> directories = new ArrayList<>();
    for (String name :
        new String[] {
          System.getProperty("java.io.tmpdir", "/tmp"),
          "/var/tmp",
          System.getProperty("user.home", "."),
          System.getProperty("user.dir", "."),
          "/dev/shm"
        }) {
      Path path = Path.of(name);
      if (Files.isDirectory(path) && Files.isWritable(path)) {
        directories.add(path);
      }
    }
    directories.sort(Comparator.comparing(SparseFile::isMemory));
    return directories;
  }

  private static boolean isMemory(Path directory) {
    try {
      String type = Files.getFileStore(directory).type();
      return type.equals("tmpfs") || type.equals("ramfs");
    } catch (IOException e) {
      return true;
    }
  }
}
