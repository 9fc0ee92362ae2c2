package org.kvm4j.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.KernelProvider.Unavailable;
import org.kvm4j.kvm.uapi.Ioctls;

/**
 * What decides whether this machine's {@code /dev/kvm} can be used. Gathering it opens the device,
 * asks for its version and closes it again.
 *
 * @param os {@code os.name}
 * @param arch {@code os.arch}
 * @param loadError why JNA cannot load its native library, or null
 * @param deviceExists whether there is a {@code /dev/kvm}
 * @param openError what opening it gives: 0 or {@code -errno}
 * @param apiVersion what {@code KVM_GET_API_VERSION} gives, or {@code -errno}
 * @param cpuFlags of {@code /proc/cpuinfo}
 * @param container whether this looks like the inside of a container
 * @param group that owns the device, or null
 * @param groupMayUse whether its mode lets that group read and write
 * @param user who runs this
 */
record HostFacts(
    String os,
    String arch,
    @Nullable String loadError,
    boolean deviceExists,
    int openError,
    int apiVersion,
    Set<String> cpuFlags,
    boolean container,
    @Nullable String group,
    boolean groupMayUse,
    String user) {

  /** The only version that KVM's interface has had since Linux 2.6.22. */
  private static final int KVM_API_VERSION = 12;

  private static final Path DEVICE = Path.of("/dev/kvm");

  private static final String OR_EMULATE = ", or use the emulated backend";

  static HostFacts gather() {
    String os = System.getProperty("os.name", "");
    String arch = System.getProperty("os.arch", "");
    String loadError = null;
    int openError = 0;
    int version = 0;
    boolean exists = Files.exists(DEVICE);
    if (suitable(os, arch) && exists) {
      try {
        int fd = Libc.open(DEVICE.toString(), NativeKernel.O_RDWR | NativeKernel.O_CLOEXEC, 0);
        if (fd < 0) {
          openError = Libc.error();
        } else {
          version = (int) SystemCalls.call(SystemCalls.IOCTL, fd, Ioctls.KVM_GET_API_VERSION, 0);
          SystemCalls.call(SystemCalls.CLOSE, fd, 0, 0);
        }
      } catch (LinkageError e) {
        loadError = firstLine(e);
      }
    }
    PosixFileAttributes owner = exists ? attributes() : null;
    return new HostFacts(
        os,
        arch,
        loadError,
        exists,
        openError,
        version,
        readCpuFlags(),
        inContainer(),
        owner == null ? null : owner.group().getName(),
        owner != null
            && owner
                .permissions()
                .containsAll(
                    Set.of(PosixFilePermission.GROUP_READ, PosixFilePermission.GROUP_WRITE)),
        System.getProperty("user.name", "you"));
  }

  /** Why the device cannot be used, and the remedy; empty if it can. */
  Optional<Unavailable> obstacle() {
    if (!suitable(os, arch)) {
      return because(
          "the native backend needs Linux on x86-64; this is " + os + " on " + arch,
          "use the emulated backend");
    }
    if (!deviceExists) {
      return because("there is no /dev/kvm", howToGetDevice());
    }
    if (loadError != null) {
      return because(
          "JNA cannot load its native library: " + loadError,
          "point java.io.tmpdir or jna.tmpdir (-Djna.tmpdir=DIR) at a writable directory that is not"
              + " mounted noexec"
              + OR_EMULATE);
    }
    if (openError != 0) {
      return cannotOpen();
    }
    if (apiVersion < 0) {
      return because(
          "/dev/kvm does not answer as KVM does: KVM_GET_API_VERSION gives "
              + Errno.nameOf(apiVersion),
          "see what /dev/kvm is (ls -l /dev/kvm: a character device 10, 232)" + OR_EMULATE);
    }
    if (apiVersion != KVM_API_VERSION) {
      return because(
          "/dev/kvm speaks version " + apiVersion + " of KVM's interface, not " + KVM_API_VERSION,
          "update the kernel" + OR_EMULATE);
    }
    return Optional.empty();
  }

  private Optional<Unavailable> cannotOpen() {
    if (openError == Errno.EACCES.result()) {
      if (group != null && groupMayUse && !group.equals("root")) {
        return because(
            "/dev/kvm may not be opened by " + user + ": its group is " + group,
            "sudo usermod -aG " + group + " " + user + ", then log in again" + OR_EMULATE);
      }
      return because(
          "/dev/kvm may not be opened by " + user + ", nor by a group of users",
          "sudo groupadd -rf kvm; sudo chgrp kvm /dev/kvm; sudo chmod 660 /dev/kvm; sudo usermod -aG kvm "
              + user
              + "; then log in again"
              + OR_EMULATE);
    }
    if (openError == Errno.EPERM.result()) {
      return because(
          "opening /dev/kvm is forbidden (EPERM), as by a container's or service's device rules",
          "allow it the device: docker or podman run --device /dev/kvm, systemd DeviceAllow=/dev/kvm rw"
              + OR_EMULATE);
    }
    if (openError == Errno.ENODEV.result()
        || openError == Errno.ENXIO.result()
        || openError == Errno.ENOENT.result()) {
      return because(
          "/dev/kvm is there, but no kernel module behind it (" + Errno.nameOf(openError) + ")",
          howToGetDevice());
    }
    return because(
        "/dev/kvm cannot be opened: " + Errno.nameOf(openError),
        "see open(2) and the kernel's log (dmesg)" + OR_EMULATE);
  }

  private String howToGetDevice() {
    if (container) {
      return "run the container with --device /dev/kvm, on a host that has it" + OR_EMULATE;
    }
    if (cpuFlags.contains("vmx")) {
      return "sudo modprobe kvm_intel" + OR_EMULATE;
    }
    if (cpuFlags.contains("svm")) {
      return "sudo modprobe kvm_amd" + OR_EMULATE;
    }
    if (cpuFlags.contains("hypervisor")) {
      return "this is a virtual machine whose CPU shows neither VT-x nor AMD-V: turn on nested"
          + " virtualization at its host"
          + OR_EMULATE;
    }
    return "the CPU shows neither VT-x nor AMD-V: turn it on in the firmware's setup" + OR_EMULATE;
  }

  private static boolean suitable(String os, String arch) {
    return os.equals("Linux") && (arch.equals("amd64") || arch.equals("x86_64"));
  }

  private static Optional<Unavailable> because(String reason, String remedy) {
    return Optional.of(new Unavailable(reason, remedy));
  }

  private static String firstLine(Throwable e) {
    Throwable cause = e;
    while (cause.getCause() != null && cause.getCause() != cause) {
      cause = cause.getCause();
    }
    String message = String.valueOf(cause.getMessage());
    return message.lines().findFirst().orElse(message).trim();
  }

  private static @Nullable PosixFileAttributes attributes() {
    try {
      return Files.readAttributes(DEVICE, PosixFileAttributes.class);
    } catch (IOException | UnsupportedOperationException e) {
      return null;
    }
  }

  private static Set<String> readCpuFlags() {
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> new TreeSet<>(List.of(line.toLowerCase(Locale.ROOT).split("[\\s:]+"))))
          .orElseGet(TreeSet::new);
    } catch (IOException | RuntimeException e) {
      return Set.of();
    }
  }

  private static boolean inContainer() {
    return Files.exists(Path.of("/.dockerenv"), LinkOption.NOFOLLOW_LINKS)
        || Files.exists(Path.of("/run/.containerenv"), LinkOption.NOFOLLOW_LINKS)
        || System.getenv("KUBERNETES_SERVICE_HOST") != null;
  }
}
