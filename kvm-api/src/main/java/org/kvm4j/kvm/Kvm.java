package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmMsrList;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * {@code /dev/kvm}, open.
 *
 * <p>Safe for use by several threads. VMs made from it live on when it is closed, as they do in the
 * kernel.
 */
public final class Kvm extends Handle {

  private static final String PATH = "/dev/kvm";

  private final ArgumentBlock arguments;

  private Kvm(Kernel kernel, int fd) {
    super(kernel, fd, PATH);
    arguments = new ArgumentBlock(new ArgumentPool(kernel));
  }

  /**
   * Opens {@code /dev/kvm} and checks that it speaks API version 12.
   *
   * @throws KvmException ENOENT if there is none, EACCES if this user may not open it
   * @throws IllegalStateException if it speaks another version
   */
  public static Kvm open(Kernel kernel) {
    int fd = kernel.open(PATH, Kernel.O_RDWR | Kernel.O_CLOEXEC);
    if (fd < 0) {
      throw new KvmException("open", -fd, PATH);
    }
    Kvm kvm = new Kvm(kernel, fd);
    int version;
    try {
      version = kvm.getApiVersion();
    } catch (RuntimeException e) {
      kvm.close();
      throw e;
    }
    if (version != Uapi.KVM_API_VERSION) {
      kvm.close();
      throw new IllegalStateException(
          PATH + " speaks API version " + version + ", not " + Uapi.KVM_API_VERSION);
    }
    return kvm;
  }

  /**
   * {@code KVM_GET_API_VERSION}.
   *
   * @return 12
   */
  public int getApiVersion() {
    return call(KvmIoctl.KVM_GET_API_VERSION, 0);
  }

  /**
   * {@code KVM_CREATE_VM} with machine type 0, the only one of x86.
   *
   * @throws KvmException ENOMEM, EMFILE
   */
  public Vm createVm() {
    return createVm(0);
  }

  /**
   * {@code KVM_CREATE_VM}.
   *
   * @param machineType 0 on x86
   * @throws KvmException EINVAL for another type; ENOMEM, EMFILE
   */
  public Vm createVm(long machineType) {
    int fd =
        call(
            KvmIoctl.KVM_CREATE_VM,
            machineType,
            () -> machineType == 0 ? "" : "machine type " + machineType + ": x86 has only type 0");
    return new Vm(this, fd);
  }

  /**
   * {@code KVM_CHECK_EXTENSION}.
   *
   * @param capability its number, {@code Caps.KVM_CAP_*}
   * @return 0 if it is missing or unknown; else positive, with the capability's meaning
   */
  public int checkExtension(int capability) {
    return check(capability);
  }

  /** {@code KVM_CHECK_EXTENSION}. */
  public int checkExtension(KvmCap capability) {
    return check(capability.number());
  }

  /**
   * {@code KVM_GET_VCPU_MMAP_SIZE}.
   *
   * @return how many bytes of a vCPU's descriptor to map
   */
  public int getVcpuMmapSize() {
    return call(KvmIoctl.KVM_GET_VCPU_MMAP_SIZE, 0);
  }

  /**
   * {@code KVM_GET_MSR_INDEX_LIST}: the MSRs that {@link Vcpu#getMsrs} can save and restore.
   *
   * @return their numbers
   */
  public int[] getMsrIndexList() {
    return msrList(KvmIoctl.KVM_GET_MSR_INDEX_LIST);
  }

  /**
   * {@code KVM_GET_MSR_FEATURE_INDEX_LIST}: the MSRs that tell of features, which {@link #getMsrs}
   * reads. Needs {@code KVM_CAP_GET_MSR_FEATURES}.
   *
   * @return their numbers
   * @throws KvmException EINVAL if the kernel has no such ioctl
   */
  public int[] getMsrFeatureIndexList() {
    return msrList(KvmIoctl.KVM_GET_MSR_FEATURE_INDEX_LIST);
  }

  private synchronized int[] msrList(KvmIoctl ioctl) {
    UserMemory memory = arguments.zeroed(KvmMsrList.SIZEOF);
    // With room for none the kernel writes back how many there are (E2BIG).
    int first = kernel.ioctl(fd(), ioctl.number(), arguments.address());
    if (first < 0 && first != Errno.E2BIG.result()) {
      throw new KvmException(ioctl.name(), -first, "");
    }
    int count = memory.getInt(KvmMsrList.NMSRS);
    memory = arguments.zeroed(KvmMsrList.SIZEOF + 4L * count);
    memory.putInt(KvmMsrList.NMSRS, count);
    call(ioctl, arguments.address());
    int[] indices = new int[memory.getInt(KvmMsrList.NMSRS)];
    for (int i = 0; i < indices.length; i++) {
      indices[i] = memory.getInt(KvmMsrList.INDICES + 4L * i);
    }
    return indices;
  }

  /**
   * {@code KVM_GET_SUPPORTED_CPUID}: the CPUID leaves that a guest of this kernel can have. Needs
   * {@code KVM_CAP_EXT_CPUID}.
   */
  public List<CpuidEntry> getSupportedCpuid() {
    return cpuid(KvmIoctl.KVM_GET_SUPPORTED_CPUID);
  }

  /**
   * {@code KVM_GET_EMULATED_CPUID}: features that the kernel emulates in software, and so are not
   * in {@link #getSupportedCpuid}. Needs {@code KVM_CAP_EXT_EMUL_CPUID}.
   *
   * @throws KvmException EINVAL if the kernel has no such ioctl
   */
  public List<CpuidEntry> getEmulatedCpuid() {
    return cpuid(KvmIoctl.KVM_GET_EMULATED_CPUID);
  }

  private synchronized List<CpuidEntry> cpuid(KvmIoctl ioctl) {
    UserMemory memory =
        arguments.zeroed(
            KvmCpuid2.SIZEOF + (long) Uapi.KVM_MAX_CPUID_ENTRIES * KvmCpuidEntry2.SIZEOF);
    memory.putInt(KvmCpuid2.NENT, Uapi.KVM_MAX_CPUID_ENTRIES);
    call(ioctl, arguments.address());
    return readCpuid(memory, memory.getInt(KvmCpuid2.NENT));
  }

  static List<CpuidEntry> readCpuid(UserMemory memory, int count) {
    List<CpuidEntry> entries = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      CpuidEntry entry = new CpuidEntry();
      entry.readFrom(memory, KvmCpuid2.ENTRIES + (long) i * KvmCpuidEntry2.SIZEOF);
      entries.add(entry);
    }
    return entries;
  }

  static void writeCpuid(UserMemory memory, List<CpuidEntry> entries) {
    memory.putInt(KvmCpuid2.NENT, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      entries.get(i).writeTo(memory, KvmCpuid2.ENTRIES + (long) i * KvmCpuidEntry2.SIZEOF);
    }
  }

  /**
   * {@code KVM_GET_MSRS} on the system descriptor: reads MSRs that tell of features, in order.
   * Needs {@code KVM_CAP_GET_MSR_FEATURES}.
   *
   * @param entries at most 255; their indices are taken, their data set
   * @return how many were read: the kernel stops at the first that it does not know
   * @throws KvmException E2BIG for more than 255 entries
   */
  public synchronized int getMsrs(List<MsrEntry> entries) {
    return Msrs.get(this, arguments, entries);
  }

  /**
   * {@code KVM_X86_GET_MCE_CAP_SUPPORTED}: the machine-check capabilities that {@link
   * Vcpu#setupMce} can be given. Needs {@code KVM_CAP_MCE}.
   *
   * @return a value for IA32_MCG_CAP
   */
  public synchronized long getMceCapSupported() {
    UserMemory memory = arguments.zeroed(8);
    call(KvmIoctl.KVM_X86_GET_MCE_CAP_SUPPORTED, arguments.address());
    return memory.getLong(0);
  }

  /**
   * {@code KVM_HAS_DEVICE_ATTR} on the system descriptor. Needs {@code KVM_CAP_SYS_ATTRIBUTES}.
   *
   * @return whether there is such an attribute (the kernel says no with ENXIO)
   */
  public synchronized boolean hasDeviceAttr(int group, long attribute) {
    return DeviceAttrs.has(this, arguments, group, attribute);
  }

  /**
   * {@code KVM_GET_DEVICE_ATTR} on the system descriptor, for an attribute of 8 bytes. Needs {@code
   * KVM_CAP_SYS_ATTRIBUTES}; group 0, attribute {@code KVM_X86_XCOMP_GUEST_SUPP} are the XSAVE
   * components that a guest can be given.
   *
   * @throws KvmException ENXIO if there is no such attribute
   */
  public synchronized long getDeviceAttr(int group, long attribute) {
    return DeviceAttrs.get(this, arguments, group, attribute);
  }

  @Override
  public synchronized void close() {
    if (closeOnce()) {
      closeFd();
      arguments.close();
    }
  }
}
